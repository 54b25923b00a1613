"""The codec: one error for whatever is unreadable, and that error never carries content."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import codec, placement
from protocol.errors import DecodeError
from protocol.line import Clock, End

SECRET = "+447700900123"
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.binary() | values.map(lambda v: json.dumps(v).encode()))
def test_whatever_comes_gives_an_event_or_the_one_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        codec.decode_event(data)


@pytest.mark.parametrize("kind", [Clock, End, placement.AssignReply])
def test_deep_nesting_is_unreadable_and_no_crash(kind: object) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    for data in (deep, b'{"line_ms":1,"intent":"busy","type":"declined","x":' + deep + b"}"):
        with pytest.raises(DecodeError):
            codec.decode_as(kind, data)
        with pytest.raises(DecodeError):
            codec.decode_event(data)


@pytest.mark.parametrize(
    "data",
    [
        {"event": SECRET},
        {"event": f"x - at {SECRET}"},
        {"event": "ringing", "id": "1", "call_id": "c", "at": SECRET},
        {"event": "stream_closing", "intent": SECRET},
        {"event": "ringing", "channel": SECRET},
        {"event": "ringing", "id": [SECRET]},
    ],
)
def test_an_error_names_the_place_and_not_the_content(data: dict[str, object]) -> None:
    with pytest.raises(DecodeError) as caught:
        codec.decode_event(json.dumps(data).encode())
    assert SECRET not in str(caught.value)


def test_a_union_is_told_apart_by_its_tag() -> None:
    assert codec.decode_as(
        placement.AssignReply, b'{"type":"declined","reason":"full"}'
    ) == placement.Declined("full")
    with pytest.raises(DecodeError):
        codec.decode_as(placement.AssignReply, b'{"type":"perhaps"}')
