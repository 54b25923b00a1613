"""media_stream: the order that Twilio promises, and what happens when it is not kept."""

import json

import pytest

from stream_ingress import twilio_messages as wire
from stream_ingress.media_stream import MediaStream, Open, Refuse, Stopped
from stream_ingress.twilio_messages import BadMessage, DtmfBody, MarkBody, MediaBody, UnknownEvent

ACCOUNT = "AC00000000000000000000000000000001"
CALL = "CA00000000000000000000000000000001"
STREAM = "MZ00000000000000000000000000000009"

CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'


def message(event: str, **body: object) -> str:
    return json.dumps({"event": event, "sequenceNumber": "4", "streamSid": STREAM, **body})


MEDIA = message(
    "media",
    media={"track": "inbound", "chunk": "2", "timestamp": "25", "payload": "fn7+/n5+/v5+fv7+fn4="},
)
DTMF = message("dtmf", dtmf={"track": "inbound_track", "digit": "7"})
MARK = message("mark", mark={"name": "17"})
STOP = message("stop", stop={"accountSid": ACCOUNT, "callSid": CALL})


def start(**changes: object) -> str:
    body: dict[str, object] = {
        "streamSid": STREAM,
        "accountSid": ACCOUNT,
        "callSid": CALL,
        "tracks": ["inbound"],
        "customParameters": {"token": "k3v"},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    body.update(changes)
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": STREAM, "start": body})


def after(*frames: str) -> MediaStream:
    stream = MediaStream(ACCOUNT)
    for frame in frames:
        effect = stream.receive(wire.decode(frame))
        assert not isinstance(effect, Refuse), effect
    return stream


def test_a_whole_stream() -> None:
    stream = MediaStream(ACCOUNT)
    states, effects = [], []
    for frame in (CONNECTED, start(), MEDIA, DTMF, MARK, STOP):
        effects.append(stream.receive(wire.decode(frame)))
        states.append(stream.state)
    assert states == ["connected", "started", "streaming", "streaming", "streaming", "stopped"]
    assert effects == [
        None,
        Open(CALL, STREAM, {"token": "k3v"}),
        MediaBody(25, b"\x7e\x7e\xfe\xfe\x7e\x7e\xfe\xfe\x7e\x7e\xfe\xfe\x7e\x7e"),
        DtmfBody("7"),
        MarkBody("17"),
        Stopped(),
    ]


@pytest.mark.parametrize(
    ("before", "frame", "refused"),
    [
        ([], MEDIA, Refuse(1008, "media before start")),
        ([CONNECTED], MEDIA, Refuse(1008, "media before start")),
        ([CONNECTED], DTMF, Refuse(1008, "dtmf before start")),
        ([CONNECTED], MARK, Refuse(1008, "mark before start")),
        ([CONNECTED], STOP, Refuse(1008, "stop before start")),
        ([], start(), Refuse(1008, "start before connected")),
        ([CONNECTED], CONNECTED, Refuse(1008, "second connected")),
        ([CONNECTED, start()], start(), Refuse(1008, "second start")),
        ([CONNECTED, start(), MEDIA], start(), Refuse(1008, "second start")),
        ([CONNECTED], start(accountSid="AC" + "f" * 32), Refuse(1008, "foreign account")),
        ([CONNECTED], start(callSid="CA1"), Refuse(1008, "malformed call or stream id")),
        ([CONNECTED], start(callSid="CA.>"), Refuse(1008, "malformed call or stream id")),
        ([CONNECTED], start(streamSid='MZ"'), Refuse(1008, "malformed call or stream id")),
        *(
            ([CONNECTED], start(mediaFormat=form), Refuse(1003, "unsupported media format"))
            for form in (
                {"encoding": "audio/x-l16", "sampleRate": 8000, "channels": 1},
                {"encoding": "audio/x-mulaw", "sampleRate": 16000, "channels": 1},
                {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 2},
            )
        ),
    ],
)
def test_bad_order_and_bad_start(before: list[str], frame: str, refused: Refuse) -> None:
    stream = after(*before)
    assert stream.receive(wire.decode(frame)) == refused
    assert stream.state == "stopped"
    assert stream.receive(wire.decode(MEDIA)) is None  # nothing counts after a refusal
    assert stream.receive(wire.decode(CONNECTED)) is None


def test_frames_that_are_no_messages() -> None:
    assert after(CONNECTED, start()).binary() == Refuse(1003, "binary frame")
    assert after(CONNECTED).malformed("malformed message") == Refuse(1007, "malformed message")


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("", "malformed message"),
        ("{", "malformed message"),
        ("[]", "malformed message"),
        ("{}", "malformed message"),
        ('{"event":5}', "malformed message"),
        ('{"event":"media"}', "malformed media message"),
        (
            '{"event":"media","media":{"timestamp":"-1","payload":""}}',
            "malformed media message",
        ),
        ('{"event":"media","media":{"timestamp":"0","payload":"*"}}', "malformed media message"),
        ('{"event":"media","media":{"timestamp":"0","payload":7}}', "malformed media message"),
        ('{"event":"dtmf","dtmf":{"digit":"77"}}', "malformed dtmf message"),
        ('{"event":"dtmf","dtmf":{"digit":"x"}}', "malformed dtmf message"),
        ('{"event":"mark","mark":{}}', "malformed mark message"),
        (start(customParameters={"token": 5}), "malformed start message"),
        ('{"event":"connected\ud800"}', "malformed message"),
        ('{"event":"media","more":' + "[" * 9000 + "]" * 9000 + "}", "malformed message"),
    ],
)
def test_malformed(text: str, phrase: str) -> None:
    with pytest.raises(BadMessage, match=f"^{phrase}$"):
        wire.decode(text)


def test_unknown_events_and_fields() -> None:
    with pytest.raises(UnknownEvent):
        wire.decode('{"event":"weather","media":3}')
    wire.decode('{"event":"connected","protocol":"Call","version":"2.0.0","new":{"a":1}}')


def test_another_track_is_not_the_caller() -> None:
    stream = after(CONNECTED, start())
    assert stream.receive(wire.decode(MEDIA.replace('"inbound"', '"outbound"'))) is None


def test_what_we_send_has_exactly_the_allowed_fields() -> None:
    encoder = wire.Encoder(STREAM)
    assert json.loads(encoder.media(b"\xff\xff\xff")) == {
        "event": "media",
        "streamSid": STREAM,
        "media": {"payload": "////"},
    }
    assert json.loads(encoder.mark("17")) == {
        "event": "mark",
        "streamSid": STREAM,
        "mark": {"name": "17"},
    }
    assert json.loads(encoder.clear) == {"event": "clear", "streamSid": STREAM}
