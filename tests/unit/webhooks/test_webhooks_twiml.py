"""The documents, read by an independent TwiML reader, and the token inside them."""

import pytest
from starlette.datastructures import ImmutableMultiDict

from protocol import stream_token
from protocol.ids import CallId, Leg
from runtime.settings import load
from testbed.twilio.twiml import PARAMETER_LIMIT, Connect, Dial, Hangup, Pause, Redirect, Say, parse
from webhooks import twiml
from webhooks.numbers import NUMBER_BYTES, number, parties
from webhooks.settings import Settings
from webhooks.signature import SignedForm
from webhooks.stream_token import Offers

CALL = CallId("CA" + "1" * 32)
NEW, OLD = "n" * 16, "o" * 16
NOW = 1_790_000_000


def offer(
    caller: str, called: str = "+15550100002", *, leg: int = 0, line_ms: int = 0
) -> tuple[list[object], str]:
    settings = load(
        Settings,
        {
            "PUBLIC_URL": "https://voice.example.com/",
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": "a" * 32,
            "STREAM_TOKEN_SECRET": f"{NEW},{OLD}",
        },
    )
    form = SignedForm(CALL, ImmutableMultiDict({"From": caller, "To": called}))
    document = Offers(settings).twiml(
        form.call, parties(form), previous_leg=Leg(leg), line_ms=line_ms, expires=NOW + 60
    )
    return list(parse(document, None)), document


def test_a_stream_is_offered_with_every_address_and_a_net_behind_it() -> None:
    verbs, _ = offer("+15550100001", leg=17, line_ms=4_200)
    connect, say, hang_up = verbs
    assert isinstance(connect, Connect)
    assert (connect.action, connect.method) == (
        "https://voice.example.com/twilio/stream-ended",
        "POST",
    )
    assert connect.stream.url == "wss://voice.example.com/twilio/media"
    assert connect.stream.status_callback == "https://voice.example.com/twilio/stream-status"
    assert say == Say(twiml.SENTENCES["unavailable"])
    assert hang_up == Hangup()
    assert list(connect.stream.parameters) == ["token"]
    token = stream_token.verify(connect.stream.parameters["token"], [NEW], NOW)
    assert token == stream_token.StreamToken(
        CALL, Leg(17), "+15550100001", "+15550100002", "phone", NOW + 60, 4_200
    )
    with pytest.raises(stream_token.StreamTokenError):
        stream_token.verify(connect.stream.parameters["token"], [OLD], NOW)


@pytest.mark.parametrize(
    "absurd",
    ["+1" + "5" * 60_000, "ü" * 5_000, '"\\' * 5_000, "\x00\n" * 5_000, "<&>'" * 3_000, "😀" * 999],
)
def test_numbers_of_absurd_length_still_fit(absurd: str) -> None:
    verbs, _ = offer(absurd, absurd, leg=2**63, line_ms=10**12)
    assert isinstance(verbs[0], Connect)
    text = verbs[0].stream.parameters["token"]
    assert len("token") + len(text) < PARAMETER_LIMIT
    token = stream_token.verify(text, [NEW], NOW)
    assert token.caller == number(absurd)
    assert len(token.caller.encode()) <= NUMBER_BYTES


@pytest.mark.parametrize("plain", ["+15550100001", "anonymous", "sip:a.b@c.example.com", "", "7"])
def test_ordinary_numbers_stay_as_they_are(plain: str) -> None:
    assert number(plain) == plain


def test_a_cut_number_ends_between_characters() -> None:
    assert number("a" + "ü" * 100) == "a" + "ü" * 47


def test_the_short_documents() -> None:
    assert parse(twiml.hang_up(), None) == [Hangup()]
    for apology, sentence in twiml.SENTENCES.items():
        assert parse(twiml.apologise(apology), None) == [Say(sentence), Hangup()]
    again = parse(twiml.ask_again("https://v.example.com/twilio/stream-ended?a=1&b=2"), None)
    assert again == [
        Say(twiml.ONE_MOMENT),
        Pause(twiml.WAIT_S),
        Redirect("https://v.example.com/twilio/stream-ended?a=1&b=2", "POST"),
    ]


@pytest.mark.parametrize(("shown", "whisper"), [("", ""), ("+15550100002", "https://v/w/a")])
def test_a_dial(shown: str, whisper: str) -> None:
    document = twiml.dial(
        number="+15550100009",
        action="https://v.example.com/twilio/dial-ended",
        ring_s=25,
        limit_s=1800,
        caller_id=shown,
        whisper=whisper,
    )
    assert parse(document, None) == [
        Dial("+15550100009", "https://v.example.com/twilio/dial-ended", "POST")
    ]
    assert 'answerOnBridge="true"' in document
    assert 'timeout="25"' in document
    assert 'timeLimit="1800"' in document
    assert ("callerId" in document) is bool(shown)
    assert ("url=" in document) is bool(whisper)


def test_sentences_of_a_profile_are_text_whatever_they_hold() -> None:
    nasty = 'We <are> "closed" & gone</Say><Dial>+1</Dial>'
    assert parse(twiml.say_goodbye(nasty), None) == [Say(nasty), Hangup()]
    assert parse(twiml.say(nasty), None) == [Say(nasty)]
    assert parse(twiml.say_goodbye(""), None) == [Hangup()]
    assert parse(twiml.say(""), None) == []
