"""The conversation of a session: its items in order, and what clients may do to them. Pure.

Called by the session and the response writer. Refusals are ApiError; nothing is changed then.
Rules: OpenAI Realtime reference, conversation.item.* events.
"""

from __future__ import annotations

import base64
import binascii
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

from testbed.realtime.errors import ApiError, invalid, missing, unknown_item
from testbed.realtime.formats import BYTES_PER_MS
from testbed.realtime.schema import (
    JsonObject,
    anything,
    array,
    nullable,
    one_of,
    record,
    tagged,
    text,
)

MAX_AUDIO_BYTES = 15 * 1024 * 1024
"""Of one append, decoded."""


def decode_audio(value: str, path: str) -> bytes:
    """Base64 of an append or an item; ApiError if it is not base64 or too long."""
    try:
        audio = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise invalid(path, f"Invalid '{path}'. Expected base64-encoded audio bytes.") from None
    if len(audio) > MAX_AUDIO_BYTES:
        raise invalid(path, f"Invalid '{path}': audio above the maximum of 15 MiB.")
    return audio


def _base64_audio(value: Any, path: str) -> Any:
    decode_audio(text(2 * MAX_AUDIO_BYTES)(value, path), path)
    return value


_common = {
    "id": text(64),
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}
_input_text = record({"type": anything, "text": text()})


def _spoken_assistant_part(value: Any, path: str) -> Any:
    # The type lists output_audio, the server refuses to be given assistant audio.
    raise missing(f"{path}.text")


_user_part = tagged(
    "type",
    {
        "input_text": _input_text,
        "input_audio": record(
            {"type": anything, "audio": _base64_audio}, {"transcript": nullable(text())}
        ),
        "input_image": record(
            {"type": anything, "image_url": text(2 * MAX_AUDIO_BYTES)},
            {"detail": one_of("auto", "low", "high")},
        ),
    },
)
_assistant_part = tagged(
    "type", {"output_text": _input_text, "output_audio": _spoken_assistant_part}
)


def _message(part: Any) -> Any:
    return record({"type": anything, "role": anything, "content": array(part)}, _common)


_item = tagged(
    "type",
    {
        "message": tagged(
            "role",
            {
                "user": _message(_user_part),
                "assistant": _message(_assistant_part),
                "system": _message(tagged("type", {"input_text": _input_text})),
            },
        ),
        "function_call": record(
            {"type": anything, "name": text(64), "arguments": text()},
            {**_common, "call_id": text(64)},
        ),
        "function_call_output": record(
            {"type": anything, "call_id": text(64), "output": text()}, _common
        ),
    },
)


@dataclass(slots=True, eq=False)
class Item:
    """One item: its JSON as the API shows it, and its audio (mu-law 8 kHz), if it has any."""

    wire: JsonObject
    by_client: bool = False
    audio: bytearray = field(default_factory=bytearray)

    @property
    def id(self) -> str:
        """Unique in the conversation."""
        return self.wire["id"]

    @property
    def type(self) -> str:
        """message, function_call or function_call_output."""
        return self.wire["type"]

    @property
    def role(self) -> str | None:
        """user, assistant or system; None for function calls and outputs."""
        return self.wire.get("role")

    @property
    def content(self) -> list[JsonObject]:
        """The parts of a message; empty for other items."""
        return cast("list[JsonObject]", self.wire.get("content", []))

    @property
    def audio_ms(self) -> int:
        """Length of the item's audio."""
        return len(self.audio) // BYTES_PER_MS

    @property
    def text(self) -> str:
        """All text and transcripts of a message, joined."""
        parts = (part.get("text") or part.get("transcript") or "" for part in self.content)
        return " ".join(filter(None, parts))

    def shown(self) -> JsonObject:
        """A copy of the JSON for an event."""
        return copy.deepcopy(self.wire)


class Conversation:
    """Items in the order the model reads them."""

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def find(self, item_id: str) -> Item | None:
        """The item, or None."""
        return next((item for item in self._items if item.id == item_id), None)

    def append(self, item: Item) -> str | None:
        """Put an item of the server's own at the end; the id before it, None if it is the first."""
        previous = self._items[-1].id if self._items else None
        self._items.append(item)
        return previous

    def before(self, item: Item) -> str | None:
        """The id of the item before this one; None if it is the first or was deleted."""
        previous: str | None = None
        for other in self._items:
            if other is item:
                return previous
            previous = other.id
        return None

    def create(self, raw: Any, after: str | None) -> tuple[Item, str | None]:
        """conversation.item.create: the new item and the id before it.

        `after`: None = at the end, "root" = first, else the id of the item before.
        """
        item = self.read(raw)
        position = self._position(after)
        self._items.insert(position, item)
        return item, self._items[position - 1].id if position else None

    def read(self, raw: Any) -> Item:
        """Check an item of the client's and complete it, without adding it."""
        wire: JsonObject = copy.deepcopy(_item(raw, "item"))
        if "id" in wire and self.find(wire["id"]) is not None:
            raise invalid("item.id", f"An item with id '{wire['id']}' already exists.")
        if wire["type"] == "function_call_output" and not self._has_call(wire["call_id"]):
            raise ApiError(
                "invalid_tool_call_id",
                f"Tool call ID '{wire['call_id']}' not found in conversation.",
                param="item.call_id",
            )
        if wire["type"] == "function_call":
            wire.setdefault("call_id", self._new_id("call"))
        wire.setdefault("id", self._new_id("item"))
        return Item(wire | {"object": "realtime.item", "status": "completed"}, by_client=True)

    def delete(self, item_id: str) -> None:
        """conversation.item.delete."""
        item = self.find(item_id)
        if item is None:
            raise unknown_item("delete", item_id)
        self._items.remove(item)

    def retrieve(self, item_id: str, encode: Callable[[bytes], bytes]) -> JsonObject:
        """conversation.item.retrieve: the item with its audio as base64."""
        item = self.find(item_id)
        if item is None:
            raise unknown_item("retrieve", item_id)
        wire = item.shown()
        for part in wire.get("content", []):
            if part["type"] in ("output_audio", "input_audio"):
                part["audio"] = base64.b64encode(encode(bytes(item.audio))).decode()
        return wire

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """conversation.item.truncate: keep [0, audio_end_ms] and forget the whole transcript."""
        item = self.find(item_id)
        if item is None:
            raise unknown_item("truncate", item_id)
        if item.role != "assistant" or not _is_audio(item, content_index):
            raise invalid("item_id", "Only model output audio messages can be truncated.")
        if audio_end_ms > item.audio_ms:
            raise invalid(
                "audio_end_ms",
                f"Audio content of {item.audio_ms}ms is already shorter than {audio_end_ms}ms",
            )
        del item.audio[audio_end_ms * BYTES_PER_MS :]
        item.content[content_index].pop("transcript", None)

    def _position(self, after: str | None) -> int:
        if after is None:
            return len(self._items)
        if after == "root":
            return 0
        for position, item in enumerate(self._items, start=1):
            if item.id == after:
                return position
        raise invalid("previous_item_id", f"Previous item with id '{after}' not found.")

    def _has_call(self, call_id: str) -> bool:
        return any(
            item.type == "function_call" and item.wire["call_id"] == call_id for item in self._items
        )


def _is_audio(item: Item, content_index: int) -> bool:
    parts = item.content
    return content_index < len(parts) and parts[content_index]["type"] == "output_audio"
