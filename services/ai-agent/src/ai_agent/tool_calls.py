"""One tool call as a fact: written ahead, asked, its result written. The agent's own tools are
answered here.

Called by the call runner in a task beside the talk; it never speaks to the model.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct

from ai_agent import builtin_tools
from ai_agent.call_brief import Brief
from ai_agent.effects import CallTool
from ai_agent.toolbox import NOT_ASKED, Toolbox, ToolResult
from protocol.call import ToolUse
from protocol.events import AgentEvent, AnyEvent, ToolCalled, ToolReturned
from protocol.ids import CallId, EventId, ToolCallId
from protocol.line import Intent
from runtime import clock
from runtime.errors import NatsAway
from runtime.outbox import Outbox

MakeEvent = Callable[[type[AgentEvent], dict[str, Any]], AnyEvent]
ALREADY = "This was done before, with this result. Do not do it again."


class Done(Struct, frozen=True):
    """What the model is told (JSON text), and how the line ends then, if it does."""

    output: str
    closing: Intent | None = None


class Begun(Struct, frozen=True):
    """A tool call on its way into the log; ``written`` gives its place there."""

    wanted: CallTool
    called: AnyEvent
    written: asyncio.Future[int]


class ToolCalls:
    """The tool calls of ``call``. ``event`` stamps, ``outbox`` gives the call's writer."""

    def __init__(
        self, toolbox: Toolbox, call: CallId, event: MakeEvent, outbox: Callable[[], Outbox]
    ) -> None:
        self._toolbox = toolbox
        self._call = call
        self._event = event
        self._outbox = outbox
        self._done: dict[tuple[str, str], ToolUse] = {}
        self._running: dict[EventId, asyncio.Future[Done]] = {}

    def remember(self, uses: Sequence[ToolUse]) -> None:
        """These were made since the caller's last turn: a model that was told so and wants them
        once more gets their results.
        """
        self._done = {_same(use.name, use.arguments): use for use in uses}

    def new_turn(self) -> None:
        """The caller wants something new, which may be the same again."""
        self._done.clear()

    def begin(self, wanted: CallTool) -> Begun | None:
        """Write the call ahead, in its place among the events of this moment; None when it was
        made before a restore.
        """
        if _same(wanted.name, wanted.arguments) in self._done:
            return None
        fields = {
            "tool_call_id": wanted.tool_call_id,
            "item_id": wanted.item_id,
            "name": wanted.name,
            "arguments": wanted.arguments,
        }
        called = self._event(ToolCalled, fields)
        return Begun(wanted, called, self._outbox().append(called))

    async def run(self, wanted: CallTool, brief: Brief) -> Done:
        """``begin`` and ``finish`` in one. Raises StaleWriter: then nothing was asked."""
        begun = self.begin(wanted)
        return await (self.made(wanted, brief) if begun is None else self.finish(begun, brief))

    async def finish(self, begun: Begun, brief: Brief) -> Done:
        """Ask once the log has the call, write the result. Raises StaleWriter."""
        return await self._once(begun.called.id, self._finish(begun, brief))

    async def again(self, use: ToolUse, brief: Brief) -> Done:
        """The result of what was written ahead: of the asking that is under way, or asked for
        again under the same key, so that it is done once, whether it was or not.
        """
        running = self._running.get(use.key)
        if running is not None:
            return await asyncio.shield(running)
        return await self._once(use.key, self._ask_again(use, brief))

    async def made(self, wanted: CallTool, brief: Brief) -> Done:
        """What came of a call that was made before a restore; nothing is asked or written."""
        use = self._done[_same(wanted.name, wanted.arguments)]
        output = use.result if use.returned_sequence else (await self.again(use, brief)).output
        own = self._own(wanted.name, brief)
        told = msgspec.json.encode({"note": ALREADY, "result": _raw(output)}).decode()
        return Done(told, own.intent if own is not None else None)

    async def _once(self, key: EventId, work: Coroutine[None, None, Done]) -> Done:
        running: asyncio.Future[Done] = asyncio.get_running_loop().create_future()
        self._running[key] = running
        try:
            done = await work
            running.set_result(done)
            return done
        finally:
            running.cancel()  # nothing, if it has the result
            del self._running[key]

    async def _finish(self, begun: Begun, brief: Brief) -> Done:
        deadline_ms, wanted = brief.assistant.tool_deadline_ms, begun.wanted
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await asyncio.shield(begun.written)
        except (TimeoutError, NatsAway):
            result, closing = ToolResult("unavailable", NOT_ASKED, deadline_ms), None
        else:
            result, closing = await self._ask(wanted.name, wanted.arguments, begun.called.id, brief)
        self._returned(wanted.tool_call_id, begun.called.id, result)
        return Done(result.output, closing)

    async def _ask_again(self, use: ToolUse, brief: Brief) -> Done:
        result, closing = await self._ask(use.name, use.arguments, use.key, brief)
        self._returned(use.tool_call_id, use.key, result)
        return Done(result.output, closing)

    def _own(self, name: str, brief: Brief) -> builtin_tools.Answer | None:
        now = clock.utc_now().astimezone(ZoneInfo(brief.assistant.time_zone))
        return builtin_tools.run(name, brief.assistant, now)

    async def _ask(
        self, name: str, arguments: str, key: EventId, brief: Brief
    ) -> tuple[ToolResult, Intent | None]:
        own = self._own(name, brief)
        if own is not None:
            outcome = "ok" if own.intent else "failed"
            return ToolResult(outcome, own.output, 0), own.intent
        result = await self._toolbox.call(
            name,
            arguments,
            call=self._call,
            caller=brief.caller.caller_id if brief.caller else None,
            key=key,
            deadline_ms=brief.assistant.tool_deadline_ms,
        )
        return result, None

    def _returned(self, tool_call_id: ToolCallId, key: EventId, result: ToolResult) -> None:
        fields = {
            "tool_call_id": tool_call_id,
            "called": key,
            "outcome": result.outcome,
            "result": result.output,
            "took_ms": result.took_ms,
        }
        self._outbox().append(self._event(ToolReturned, fields))


def _same(name: str, arguments: str) -> tuple[str, str]:
    """What makes two calls the same: order and spaces of the arguments do not matter."""
    try:
        return name, msgspec.json.encode(msgspec.json.decode(arguments), order="sorted").decode()
    except msgspec.DecodeError:
        return name, arguments


def _raw(output: str) -> object:
    try:
        return msgspec.json.decode(output)
    except msgspec.DecodeError:
        return output
