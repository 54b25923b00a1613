"""Token counting: the billing rules of each modality and the cached prefix."""

from __future__ import annotations

from testbed.realtime.items import Item
from testbed.realtime.usage import Tokens, input_tokens, item_tokens, text_tokens, usage


def spoken(role: str, ms: int) -> Item:
    part = {"type": "output_audio", "transcript": "not counted beside its audio"}
    wire = {"id": "i", "type": "message", "role": role, "content": [part]}
    return Item(wire, audio=bytearray(ms * 8))


def test_speech_is_billed_by_time() -> None:
    assert item_tokens(spoken("user", 1_000)) == Tokens(audio=10)
    assert item_tokens(spoken("assistant", 1_000)) == Tokens(audio=20)
    assert item_tokens(spoken("user", 1_001)) == Tokens(audio=11)


def test_input_is_instructions_tools_and_items() -> None:
    config = {"instructions": "x" * 40, "tools": []}
    assert input_tokens(config, [spoken("user", 500)]) == Tokens(text=10, audio=5)
    with_tools = input_tokens(config | {"tools": [{"name": "f"}]}, [])
    assert with_tools.text > 10
    assert text_tokens("") == 0


def test_cached_is_a_subset_in_steps_of_64() -> None:
    counted = usage(Tokens(200, 70), Tokens(150, 90), Tokens(5, 30))
    assert counted["total_tokens"] == 305
    details = counted["input_token_details"]
    assert details["cached_tokens_details"]["text_tokens"] == 128
    assert details["cached_tokens_details"]["audio_tokens"] == 64
    assert details["cached_tokens"] == 192
    assert counted["output_token_details"] == {"text_tokens": 5, "audio_tokens": 30}
