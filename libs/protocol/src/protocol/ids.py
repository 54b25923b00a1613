"""Identifiers of the contract and the checks that make them safe as tokens of a NATS subject.

Whoever takes an id from outside (a webhook form, a ``start`` message, a subject) constructs it
here.
"""

import re
import uuid
from typing import NewType

from protocol.errors import InvalidToken

CallId = NewType("CallId", str)
"""Twilio's CallSid: ``CA`` and 32 lower-case hex digits; browser calls have one of our own."""
StreamId = NewType("StreamId", str)
"""Twilio's StreamSid: ``MZ`` and 32 hex digits. One media socket."""
ItemId = NewType("ItemId", str)
"""A conversation item as OpenAI names it, or ``local:<name>`` for a sentence that ingress owns."""
ToolCallId = NewType("ToolCallId", str)
"""What OpenAI calls ``call_id`` inside a function call. Never called call_id here."""
EventId = NewType("EventId", str)
"""Unique id of one event of the log; also its ``Nats-Msg-Id`` and the idempotency key of its
effect.
"""
WorkerId = NewType("WorkerId", str)
"""One agent process: a NATS token."""
IngressId = NewType("IngressId", str)
"""One stream-ingress process: a NATS token."""
CallerId = NewType("CallerId", str)
"""A person with a number: a NATS token, made by tool-runner."""
Leg = NewType("Leg", int)
"""Stream sequence of the ``stream_started`` that opened a media socket."""
Epoch = NewType("Epoch", int)
"""Stream sequence of the ``assigned`` that holds a call."""

_CALL = re.compile(r"CA[0-9a-f]{32}\Z")
_STREAM = re.compile(r"MZ[0-9a-f]{32}\Z")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def call_id(text: str) -> CallId:
    """``text`` as a CallSid. Raises InvalidToken when it is none."""
    if not _CALL.match(text):
        raise InvalidToken("a CallSid is CA and 32 lower-case hex digits")
    return CallId(text)


def stream_id(text: str) -> StreamId:
    """``text`` as a StreamSid. Raises InvalidToken when it is none."""
    if not _STREAM.match(text):
        raise InvalidToken("a StreamSid is MZ and 32 lower-case hex digits")
    return StreamId(text)


def token(text: str) -> str:
    """``text`` as one token of a subject (ADR-6, the restricted set). Raises InvalidToken."""
    if not _TOKEN.match(text):
        raise InvalidToken("a subject token is 1 to 128 of A-Z a-z 0-9 _ and -")
    return text


def worker_id(text: str) -> WorkerId:
    """``text`` as the name of an agent worker. Raises InvalidToken."""
    return WorkerId(token(text))


def ingress_id(text: str) -> IngressId:
    """``text`` as the name of an ingress process. Raises InvalidToken."""
    return IngressId(token(text))


def new_call_id() -> CallId:
    """A CallSid of our own, for a browser call; never sent to Twilio's REST API."""
    return CallId("CA" + uuid.uuid4().hex)


def new_event_id() -> EventId:
    """A fresh event id for an event without an outside cause."""
    return EventId(uuid.uuid4().hex)


_CAUSE_NAMESPACE = uuid.UUID("5f2c1c53-4b7a-4f0a-9d2e-7c1d0a0c9b11")


def caused_event_id(*cause: str) -> EventId:
    """The same id for the same outside cause (a repeated Twilio callback), so that the log keeps
    one event.
    """
    return EventId(uuid.uuid5(_CAUSE_NAMESPACE, "\x1f".join(cause)).hex)
