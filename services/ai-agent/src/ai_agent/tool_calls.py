"""One tool call as a fact: written ahead, asked, its result written. The agent's own tools are
answered here.

Called by the call runner in a task beside the talk; it never speaks to the model.
"""

import asyncio
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import Struct

from ai_agent import builtin_tools
from ai_agent.call_brief import Brief
from ai_agent.effects import CallTool
from ai_agent.toolbox import NOT_ASKED, Toolbox, ToolResult
from protocol.events import AgentEvent, AnyEvent, ToolCalled, ToolReturned
from protocol.line import Intent
from runtime import clock
from runtime.errors import NatsAway
from runtime.outbox import Outbox

MakeEvent = Callable[[type[AgentEvent], dict[str, Any]], AnyEvent]


class Done(Struct, frozen=True):
    """What the model is told (JSON text), and how the line ends then, if it does."""

    output: str
    closing: Intent | None = None


class ToolCalls:
    """The tool calls of one call. ``event`` stamps, ``outbox`` gives the call's writer."""

    def __init__(self, toolbox: Toolbox, event: MakeEvent, outbox: Callable[[], Outbox]) -> None:
        self._toolbox = toolbox
        self._event = event
        self._outbox = outbox

    async def run(self, wanted: CallTool, brief: Brief) -> Done:
        """Write ahead, ask, write the result. Raises StaleWriter: then nothing was asked."""
        deadline_ms = brief.assistant.tool_deadline_ms
        fields = {
            "tool_call_id": wanted.tool_call_id,
            "item_id": wanted.item_id,
            "name": wanted.name,
            "arguments": wanted.arguments,
        }
        called = self._event(ToolCalled, fields)
        closing: Intent | None = None
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await asyncio.shield(self._outbox().append(called))
        except (TimeoutError, NatsAway):
            result = ToolResult("unavailable", NOT_ASKED, deadline_ms)
        else:
            now = clock.utc_now().astimezone(ZoneInfo(brief.assistant.time_zone))
            own = builtin_tools.run(wanted.name, brief.assistant, now)
            if own is not None:
                outcome = "ok" if own.intent else "failed"
                result, closing = ToolResult(outcome, own.output, 0), own.intent
            else:
                result = await self._toolbox.call(
                    wanted.name,
                    wanted.arguments,
                    call=called.call_id,
                    caller=brief.caller.caller_id if brief.caller else None,
                    key=called.id,
                    deadline_ms=deadline_ms,
                )
        fields = {
            "tool_call_id": wanted.tool_call_id,
            "called": called.id,
            "outcome": result.outcome,
            "result": result.output,
            "took_ms": result.took_ms,
        }
        self._outbox().append(self._event(ToolReturned, fields))
        return Done(result.output, closing)
