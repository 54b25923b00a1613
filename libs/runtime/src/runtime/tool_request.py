"""One request to a tool, until it is answered or its deadline has passed. Used by workers for the
model and by the desk for an operator.
"""

import asyncio
from typing import Any

import msgspec
from msgspec import Struct

from protocol import subjects, tools
from protocol.events import ToolOutcome
from protocol.ids import CallerId, CallId, EventId
from runtime import tracing
from runtime.bus import Bus
from runtime.clock import monotonic_ms
from runtime.discovery import UNREADABLE
from runtime.errors import NatsAway, NoAnswer, Refused
from runtime.spans import tool_key

RETRY_S = 0.2
AWAY = 503
"""Error code of a tool service that cannot work right now: asked again under the same key."""
DEADLINE_MISSED = 504


class ToolRequest(Struct, frozen=True):
    """``payload`` is a JSON object. ``key``: repeated under the same one, the effect happens once.
    ``deadline_at`` is on the monotonic clock, in ms.
    """

    tool: str
    payload: bytes
    caller: CallerId | None
    key: EventId
    deadline_at: int
    call: CallId | None = None


async def ask(bus: Bus, asked: ToolRequest) -> tuple[ToolOutcome, str]:
    """What came of it, and the answer's JSON text. Never raises for what a tool or NATS does:
    failures are an honest sentence.

    Nobody listening is tried again until the deadline under the same key, so the effect happens
    once.
    """
    while (left_ms := asked.deadline_at - monotonic_ms()) > 0:
        headers = {tools.IDEMPOTENCY_KEY: asked.key, tools.DEADLINE_MS: str(left_ms)}
        if asked.call is not None:
            headers[tools.CALL] = asked.call
            if (parent := tracing.traceparent(asked.call, tool_key(asked.key))) is not None:
                headers[tools.TRACEPARENT] = parent
        if asked.caller is not None:
            headers[tools.CALLER] = asked.caller
        try:
            data = await bus.request_raw(
                subjects.tool(asked.tool), asked.payload, timeout=left_ms / 1000, headers=headers
            )
            return _checked(data)
        except Refused as error:
            if error.code == DEADLINE_MISSED:
                break
            if error.code != AWAY:
                return "failed", failure(error.description)
            await asyncio.sleep(min(RETRY_S, left_ms / 1000))
        except NoAnswer as error:
            if not error.nobody:
                break
            await asyncio.sleep(min(RETRY_S, left_ms / 1000))
        except NatsAway:
            await asyncio.sleep(RETRY_S)
    return "timeout", TIMED_OUT


def failure(message: str) -> str:
    """The JSON text of a failed tool call."""
    return msgspec.json.encode({"status": "failed", "message": message}).decode()


TIMED_OUT = failure(
    "The tool did not answer in time, so it is not known whether this was done. "
    "Tell the caller honestly that it could not be confirmed."
)


def _checked(data: bytes) -> tuple[ToolOutcome, str]:
    """A tool may be anybody's: only a JSON object is an answer."""
    try:
        answer: Any = msgspec.json.decode(data)
    except UNREADABLE:
        return "failed", failure("The tool answered with something unreadable.")
    if not isinstance(answer, dict):
        return "failed", failure("The tool answered with something unreadable.")
    failed = answer.get("status") == "failed"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return ("failed" if failed else "ok"), data.decode()
