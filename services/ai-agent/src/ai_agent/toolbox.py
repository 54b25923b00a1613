"""Tools: which there are (discovered through the NATS service API, cached) and how one is called.

Discovery runs beside the calls, never on a call's path. A tool that two services offer with
different schemas is refused with a warning.
"""

import asyncio
from collections.abc import Callable

import msgspec
from msgspec import Struct
from prometheus_client import Histogram

from protocol.events import OfferedTool, ToolOutcome
from protocol.ids import CallerId, CallId, EventId
from runtime import logging, tool_request
from runtime.bus import Bus
from runtime.clock import monotonic_ms
from runtime.discovery import UNREADABLE, agreed, discover
from runtime.errors import NatsAway
from runtime.tool_request import ToolRequest, failure

_log = logging.get("toolbox")
_seconds = Histogram("trunkline_tool_seconds", "Time of a tool call", ["tool", "outcome"])

REFRESH_S = 10.0
MISSING_S = 1.5
MAX_OUTPUT = 32 * 1024
"""Bytes of an answer that the model is given; more would crowd the talk out of its context, and
quoted in an event be more than the log takes.
"""


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
        answers = await discover(self._bus)
        found, refused = agreed(answers.served)
        for name in refused:
            _log.warning("tool refused: two services serve it", tool=name)
        if found or answers.anybody:  # an unanswered question does not empty the box
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
        except UNREADABLE:
            return "failed", failure("The arguments are not valid JSON.")
        if not isinstance(parsed, dict):
            return "failed", failure("The arguments must be a JSON object.")
        payload = msgspec.json.encode(parsed)
        asked = ToolRequest(name, payload, caller, key, deadline_at, call)
        return await tool_request.ask(self._bus, asked)


TOO_LONG = failure("The tool answered with more than can be read. Tell the caller honestly.")
NOT_ASKED = failure("The tool could not be asked, so nothing was done. Tell the caller honestly.")
