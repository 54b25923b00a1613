"""An event as it came from the log, checked as far as its place in the history needs (pure).

What an older or newer version wrote is kept too: only the id, the time and the address must be
readable.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Protocol

from msgspec import Meta, Struct

from protocol import codec, events, ids
from protocol.errors import DecodeError, InvalidToken
from protocol.ids import CallId

MOST_BYTES = 1024 * 1024


class Message(Protocol):
    """What is read of a message: of a consumer's, or of a stream as it is kept."""

    @property
    def sequence(self) -> int: ...
    @property
    def subject(self) -> str: ...
    @property
    def data(self) -> bytes: ...


class Raw(Struct, frozen=True):
    """One event of the log. ``data`` is its JSON as text."""

    event_id: str
    call_id: CallId
    sequence: int
    name: str
    at: datetime
    data: str


class Poison(ValueError):
    """A message that can be no event; the text says why without quoting it."""


class _Head(Struct, frozen=True):
    id: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]+$")]
    at: Annotated[datetime, Meta(tz=True)]


def read(message: Message) -> Raw:
    """``message`` of stream CALLS as an event. Raises Poison."""
    parts = message.subject.split(".")
    if len(parts) != 4 or not parts[3]:
        raise Poison("its subject is none of the log's")
    try:
        call = ids.call_id(parts[1])
    except InvalidToken:
        raise Poison("its subject names no call") from None
    if len(message.data) > MOST_BYTES:
        raise Poison("it is too large")
    try:
        text = message.data.decode()
        head = codec.decode(_Head, message.data)
    except (UnicodeDecodeError, DecodeError):
        raise Poison("it has no readable id and time") from None
    if "\0" in text or not 1970 <= head.at.year <= 9000:
        raise Poison("it cannot be stored")
    return Raw(head.id, call, message.sequence, parts[3][:128], head.at, text)


def entries(
    call: CallId, kept: Iterable[tuple[int, str]]
) -> tuple[list[tuple[int, events.AnyEvent]], int]:
    """The events of ``call`` that this version understands, as (sequence, event), from (sequence,
    JSON), and how many it does not.
    """
    found: list[tuple[int, events.AnyEvent]] = []
    strange = 0
    for sequence, text in kept:
        try:
            event = codec.decode_event(text.encode())
        except DecodeError:
            strange += 1
            continue
        if event.call_id == call:
            found.append((sequence, event))
        else:
            strange += 1
    return found, strange
