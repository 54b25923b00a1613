"""The tool calls of one talk (shell): beside it, from beginning to end, with a word of patience
when one takes long.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

from ai_agent.conversation import Conversation
from ai_agent.effects import CallTool, Effect
from ai_agent.held_call import HeldCall
from ai_agent.todo_news import TodoNews
from ai_agent.tool_calls import Begun, Done, ToolCalls
from protocol.call import ToolUse
from protocol.ids import ToolCallId
from runtime import clock, errors

Perform = Callable[[list[Effect]], Awaitable[None]]


class TalkTools:
    """``perform`` does what ``conversation`` makes of the results."""

    def __init__(
        self,
        held: HeldCall,
        tools: ToolCalls,
        conversation: Conversation,
        news: TodoNews,
        perform: Perform,
    ) -> None:
        self._held = held
        self._tools = tools
        self._conversation = conversation
        self._news = news
        self._perform = perform

    def call(self, wanted: CallTool) -> None:
        """Make the call. It goes into the log at once: before what says that its response is
        over.
        """
        begun = self._tools.begin(wanted)
        self._held.tasks.isolate(self._tool(wanted, begun), "tool")

    def again(self, use: ToolUse) -> None:
        """Get the result of a call that was made before this talk."""
        work = self._tools.again(use, self._held.brief)
        self._held.tasks.isolate(self._result(use.tool_call_id, work), "tool")

    async def _tool(self, wanted: CallTool, begun: Begun | None) -> None:
        tools, brief, call = self._tools, self._held.brief, wanted.tool_call_id
        if begun is not None:
            return await self._result(call, tools.finish(begun, brief))
        return await self._tell(call, await tools.made(wanted, brief))

    async def _result(self, call: ToolCallId, work: Coroutine[None, None, Done]) -> None:
        """A stale worker never gets to ask."""
        filler_ms = self._held.brief.assistant.limits.filler_ms
        tasks = self._held.tasks
        patience = tasks.isolate(self._filler(filler_ms), "filler") if filler_ms else None
        self._news.own_began()
        try:
            done = await work
        except errors.StaleWriter:
            return self._held.watch.leave("stale")
        finally:
            self._news.own_ended(clock.monotonic_ms())
            if patience is not None:
                patience.cancel()
        return await self._tell(call, done)

    async def _tell(self, call: ToolCallId, done: Done) -> None:
        await self._perform(self._conversation.on_tool_output(call, done.output, done.closing))

    async def _filler(self, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        await self._perform(self._conversation.on_tool_slow())
