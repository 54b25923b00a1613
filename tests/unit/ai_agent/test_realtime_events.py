"""Server events as bytes, and the check that both formats are mu-law before audio flows."""

import base64

import msgspec
import pytest

from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from ai_agent.realtime.connection import SessionFailed, checked
from protocol.errors import DecodeError
from protocol.events import OfferedTool
from runtime.assistant import TurnDetection


def test_audio_is_decoded_to_bytes_and_unknown_fields_do_no_harm():
    data = msgspec.json.encode(
        {
            "type": "response.output_audio.delta",
            "event_id": "e",
            "response_id": "r",
            "item_id": "i",
            "output_index": 0,
            "content_index": 0,
            "delta": base64.b64encode(b"\x01\x02").decode(),
        }
    )
    assert rt.decode(data) == rt.AudioDelta("r", "i", b"\x01\x02")


def test_types_that_we_do_not_read_give_their_name():
    assert rt.decode(b'{"type":"rate_limits.updated","rate_limits":[]}') == "rate_limits.updated"
    assert rt.decode(b'{"type":"invented.tomorrow"}') == "invented.tomorrow"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"nonsense",
        b'{"type":"response.output_audio.delta"}',
        b"\xff\xfe",
        b'{"type":"error","error":{"message":"\xff"}}',
        b'{"type":"error","more":' + b"[" * 9000 + b"]" * 9000 + b"}",
    ],
)
def test_broken_events_are_one_error(data):
    with pytest.raises(DecodeError):
        rt.decode(data)


def session(**formats):
    return rt.Session(audio={way: {"format": given} for way, given in formats.items()})


def test_only_a_session_with_mu_law_both_ways_is_used():
    good = session(input=commands.PCMU, output=commands.PCMU)
    assert checked(good) is good
    pcm = {"type": "audio/pcm", "rate": 24000}
    for bad in (
        session(input=commands.PCMU, output=pcm),
        session(input=pcm, output=commands.PCMU),
        session(output=commands.PCMU),
        rt.Session(),
    ):
        with pytest.raises(SessionFailed) as caught:
            checked(bad)
        assert caught.value.permanent


def test_the_update_names_everything_explicitly():
    update = commands.session_update(
        instructions="Be brief.",
        voice="marin",
        language="en",
        transcription_model="gpt-transcribe",
        turn_detection=TurnDetection(silence_duration_ms=700),
        noise_reduction="near_field",
        tools=(OfferedTool("t", "does", '{"type":"object"}'),),
        max_output_tokens=100,
    )["session"]
    assert update["type"] == "realtime"
    assert update["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 700,
        "create_response": True,
        "interrupt_response": True,
    }
    assert update["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert update["tools"] == [
        {"type": "function", "name": "t", "description": "does", "parameters": {"type": "object"}}
    ]
