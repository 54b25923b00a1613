"""Bytes <-> messages: reused msgspec encoders and decoders. JSON everywhere but audio."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from protocol.errors import DecodeError
from protocol.events import AnyEvent

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_event_decoder = msgspec.json.Decoder(AnyEvent)
_decoders: dict[Any, Callable[[bytes], Any]] = {}
UNREADABLE = (msgspec.DecodeError, UnicodeError, RecursionError)
"""All that msgspec raises for bytes or text from outside: deep nesting, also inside a field that
is ignored, exhausts its recursion.
"""


def encode(message: Any) -> bytes:
    """``message`` (a struct, or plain JSON values) as JSON bytes."""
    return _encoder.encode(message)


def decode(kind: type[T], data: bytes) -> T:
    """``data`` as a ``kind`` (a struct type; for unions of structs see ``decode_as``). Raises
    DecodeError.
    """
    return decode_as(kind, data)


def decode_as(kind: Any, data: bytes) -> Any:
    """``decode`` for kinds that are unions, which type checkers do not accept as ``type[T]``."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind).decode
    try:
        return decoder(data)
    except UNREADABLE as error:
        raise DecodeError(_place(error)) from None


def decode_event(data: bytes) -> AnyEvent:
    """One event of the log. Raises DecodeError, also for an event of a newer version whose name
    is unknown.
    """
    try:
        return _event_decoder.decode(data)
    except UNREADABLE as error:
        raise DecodeError(_place(error)) from None


def _place(error: Exception) -> str:
    # msgspec names the field and the types, and a value only for unknown tags and enums: keep the
    # place alone.
    text = str(error)
    return text.split(" - at ")[-1] if " - at " in text and "value" in text else text
