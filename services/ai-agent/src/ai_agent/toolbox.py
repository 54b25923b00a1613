"""Tools: which there are (discovered through the NATS service API, cached) and how one is called.

Discovery runs beside the calls, never on a call's path. A tool that two services offer with
different schemas is refused with a warning.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from prometheus_client import Histogram

from protocol import subjects, tools
from protocol.events import OfferedTool, ToolOutcome
from protocol.ids import CallerId, CallId, EventId
from runtime import logging, tracing
from runtime.bus import Bus
from runtime.clock import monotonic_ms
from runtime.errors import NatsAway, NoAnswer, Refused
from runtime.spans import tool_key

_log = logging.get("toolbox")
_seconds = Histogram("trunkline_tool_seconds", "Time of a tool call", ["tool", "outcome"])

REFRESH_S = 10.0
MISSING_S = 1.5
REPLIES_S = 0.3
RETRY_S = 0.2
AWAY = 503
"""Error code of a tool service that cannot work right now: asked again under the same key."""
DEADLINE_MISSED = 504
MAX_OUTPUT = 32 * 1024
"""Bytes of an answer that the model is given; more would crowd the talk out of its context, and
quoted in an event be more than the log takes.
"""
# Whoever serves a tool writes this: deep nesting exhausts the decoder's recursion.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Endpoint(Struct):
    name: str = ""
    subject: str = ""
    metadata: dict[str, str] | None = None


class _Info(Struct):
    name: str = ""
    id: str = ""
    endpoints: tuple[_Endpoint, ...] = ()


class ToolResult(Struct, frozen=True):
    """``output`` is JSON text for the model; ``took_ms`` how long the tool was waited for."""

    outcome: ToolOutcome
    output: str
    took_ms: int


class Toolbox:
    """The tools that services on the bus offer."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._offered: dict[str, OfferedTool] = {}

    def offered(self, names: tuple[str, ...]) -> tuple[OfferedTool, ...]:
        """Those of ``names`` (a profile's list) that somebody serves, in the profile's order."""
        missing = [name for name in names if name not in self._offered]
        if missing:
            _log.warning("tools not offered by any service", tools=missing)
        return tuple(self._offered[name] for name in names if name in self._offered)

    def names(self) -> set[str]:
        """Every tool that somebody serves."""
        return set(self._offered)

    async def refresh(self) -> None:
        """Ask every service what it offers, once."""
        replies = await self._bus.request_many("$SRV.INFO", b"", within=REPLIES_S)
        found: dict[str, OfferedTool] = {}
        owner: dict[str, str] = {}
        refused: set[str] = set()
        for data, _ in replies:
            try:
                info = msgspec.json.decode(data, type=_Info)
            except _UNREADABLE:
                continue
            for endpoint in info.endpoints:
                tool = _tool(endpoint)
                if tool is None:
                    continue
                if owner.setdefault(tool.name, info.name) != info.name:
                    refused.add(tool.name)
                found[tool.name] = tool
        for name in refused:
            _log.warning("tool refused: two services serve it", tool=name)
            del found[name]
        if found or replies:  # an unanswered question does not empty the box
            self._offered = found

    async def follow(self, wanted: Callable[[], set[str]]) -> None:
        """Keep the box fresh, for ever; sooner while one of ``wanted()`` is missing."""
        while True:
            try:
                await self.refresh()
            except NatsAway:
                _log.warning("tools not refreshed", reason="nats away")
            await asyncio.sleep(MISSING_S if wanted() - self.names() else REFRESH_S)

    async def call(
        self,
        name: str,
        arguments: str,
        *,
        call: CallId,
        caller: CallerId | None,
        key: EventId,
        deadline_ms: int,
    ) -> ToolResult:
        """Run a tool. Never raises: what went wrong is an honest sentence for the model.

        Nobody listening is tried again until the deadline under the same key, so the effect
        happens once.
        """
        began = monotonic_ms()
        deadline_at = began + deadline_ms
        outcome, output = await self._ask(name, arguments, call, caller, key, deadline_at)
        if len(output.encode()) > MAX_OUTPUT:
            outcome, output = "failed", TOO_LONG
        took = monotonic_ms() - began
        _seconds.labels(name if name in self._offered else "unknown", outcome).observe(took / 1000)
        return ToolResult(outcome, output, took)

    async def _ask(
        self,
        name: str,
        arguments: str,
        call: CallId,
        caller: CallerId | None,
        key: EventId,
        deadline_at: int,
    ) -> tuple[ToolOutcome, str]:
        if name not in self._offered:
            return "failed", failure(f"There is no tool called {name}.")
        try:
            parsed = msgspec.json.decode(arguments or "{}")
        except _UNREADABLE:
            return "failed", failure("The arguments are not valid JSON.")
        if not isinstance(parsed, dict):
            return "failed", failure("The arguments must be a JSON object.")
        payload = msgspec.json.encode(parsed)
        while (left_ms := deadline_at - monotonic_ms()) > 0:
            headers = {
                tools.CALL: call,
                tools.IDEMPOTENCY_KEY: key,
                tools.DEADLINE_MS: str(left_ms),
            }
            if caller is not None:
                headers[tools.CALLER] = caller
            if (parent := tracing.traceparent(call, tool_key(key))) is not None:
                headers[tools.TRACEPARENT] = parent
            try:
                data = await self._bus.request_raw(
                    subjects.tool(name), payload, timeout=left_ms / 1000, headers=headers
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
TOO_LONG = failure("The tool answered with more than can be read. Tell the caller honestly.")
NOT_ASKED = failure("The tool could not be asked, so nothing was done. Tell the caller honestly.")


def _checked(data: bytes) -> tuple[ToolOutcome, str]:
    """A tool may be anybody's: only a JSON object reaches the model."""
    try:
        answer: Any = msgspec.json.decode(data)
    except _UNREADABLE:
        return "failed", failure("The tool answered with something unreadable.")
    if not isinstance(answer, dict):
        return "failed", failure("The tool answered with something unreadable.")
    failed = answer.get("status") == "failed"  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return ("failed" if failed else "ok"), data.decode()


def _tool(endpoint: _Endpoint) -> OfferedTool | None:
    prefix, _, name = endpoint.subject.partition(".")
    metadata = endpoint.metadata or {}
    schema = metadata.get(tools.META_SCHEMA)
    if prefix != subjects.TOOLS or schema is None:
        return None
    try:
        if not isinstance(msgspec.json.decode(schema), dict):
            return None
    except _UNREADABLE:
        return None
    return OfferedTool(name, metadata.get(tools.META_DESCRIPTION, ""), schema)
