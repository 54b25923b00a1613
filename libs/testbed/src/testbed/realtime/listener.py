"""Hearing of spoken user items: asks the mind, keeps the words, sends the transcription events.

Called by the session for every committed item; the responder waits here for the words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from testbed.realtime.items import Item
from testbed.realtime.minds import Mind
from testbed.realtime.schema import JsonObject
from testbed.realtime.usage import USER_MS_PER_TOKEN, text_tokens

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


@dataclass(slots=True)
class _Heard:
    words: str = ""
    known: asyncio.Event = field(default_factory=asyncio.Event)


class Listener:
    """The words of a session's spoken items."""

    def __init__(self, mind: Mind, spawn: Spawn, emit: Callable[[Mapping[str, Any]], None]) -> None:
        self._mind, self._spawn, self._emit = mind, spawn, emit
        self._heard: dict[str, _Heard] = {}

    def listen(self, item: Item, content_index: int, *, transcribe: bool) -> None:
        """Start hearing an item; with `transcribe`, its transcription events follow."""
        heard = self._heard[item.id] = _Heard()
        self._spawn(self._hear(item, content_index, heard, transcribe))

    async def words_of(self, item_id: str) -> str:
        """The words of a spoken item once they are known; "" for any other item."""
        heard = self._heard.get(item_id)
        if heard is None:
            return ""
        await heard.known.wait()
        return heard.words

    async def _hear(self, item: Item, content_index: int, heard: _Heard, transcribe: bool) -> None:
        heard.words = await self._mind.hear(item)
        heard.known.set()
        if transcribe:
            item.content[content_index]["transcript"] = heard.words
            for event in _transcription(item, content_index, heard.words):
                self._emit(event)


def _transcription(item: Item, content_index: int, words: str) -> Iterator[JsonObject]:
    """The deltas and the completed event of a user item."""
    kind = "conversation.item.input_audio_transcription"
    place = {"item_id": item.id, "content_index": content_index}
    for index, word in enumerate(words.split()):
        yield {"type": f"{kind}.delta", **place, "delta": f" {word}" if index else word}
    audio, text = -(-item.audio_ms // USER_MS_PER_TOKEN), text_tokens(words)
    yield {
        "type": f"{kind}.completed",
        **place,
        "transcript": words,
        "usage": {
            "type": "tokens",
            "total_tokens": audio + text,
            "input_tokens": audio,
            "output_tokens": text,
            "input_token_details": {"audio_tokens": audio, "text_tokens": 0},
        },
    }
