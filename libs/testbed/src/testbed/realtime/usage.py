"""Token counting as the Realtime API bills it. Pure; called by the response writer.

Audio: 1 token per 100 ms of user speech, 1 per 50 ms of assistant speech (OpenAI, realtime
costs). Text: 1 token per 4 characters, an estimate. Cached: the prefix that the previous response
of this session already had as input, in steps of 64 tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.realtime.items import Item
from testbed.realtime.schema import JsonObject

USER_MS_PER_TOKEN = 100
ASSISTANT_MS_PER_TOKEN = 50
_CACHE_STEP = 64


@dataclass(frozen=True, slots=True)
class Tokens:
    """An amount of tokens by modality."""

    text: int = 0
    audio: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.text + other.text, self.audio + other.audio)

    @property
    def total(self) -> int:
        """Both modalities."""
        return self.text + self.audio


def text_tokens(text: str) -> int:
    """An estimate: one token per four characters, at least one for any text."""
    return -(-len(text) // 4)


def item_tokens(item: Item) -> Tokens:
    """What one item of the context costs as input."""
    match item.type:
        case "message" if item.audio:
            per_token = ASSISTANT_MS_PER_TOKEN if item.role == "assistant" else USER_MS_PER_TOKEN
            return Tokens(audio=-(-item.audio_ms // per_token))
        case "message":
            return Tokens(text=text_tokens(item.text))
        case "function_call":
            return Tokens(text=text_tokens(item.wire["name"] + item.wire["arguments"]))
        case _:
            return Tokens(text=text_tokens(item.wire["output"]))


def input_tokens(config: Mapping[str, Any], items: Iterable[Item]) -> Tokens:
    """What a response reads: instructions, tools and the context."""
    total = Tokens(text=text_tokens(config["instructions"]))
    if config["tools"]:
        total += Tokens(text=text_tokens(json.dumps(config["tools"])))
    for item in items:
        total += item_tokens(item)
    return total


def usage(read: Tokens, cached: Tokens, written: Tokens) -> JsonObject:
    """The `usage` of a response.done."""
    cached_text, cached_audio = (
        min(now, before) // _CACHE_STEP * _CACHE_STEP
        for now, before in ((read.text, cached.text), (read.audio, cached.audio))
    )
    return {
        "total_tokens": read.total + written.total,
        "input_tokens": read.total,
        "output_tokens": written.total,
        "input_token_details": {
            "text_tokens": read.text,
            "audio_tokens": read.audio,
            "image_tokens": 0,
            "cached_tokens": cached_text + cached_audio,
            "cached_tokens_details": {
                "text_tokens": cached_text,
                "audio_tokens": cached_audio,
                "image_tokens": 0,
            },
        },
        "output_token_details": {"text_tokens": written.text, "audio_tokens": written.audio},
    }
