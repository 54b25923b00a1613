"""What is watched beside a conversation (shell): the assistant's words, and the caller's todos.

Made by the talk for one session; they end with it.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from ai_agent.held_call import HeldCall
from ai_agent.output_check import OutputCheck
from ai_agent.realtime import moderation
from ai_agent.todo_news import TodoNews
from protocol import codec, subjects
from protocol.ids import ItemId
from protocol.todos import TodoChanged
from runtime import clock
from runtime.subscribed import Message

Stop = Callable[[ItemId, str], Awaitable[None]]


class OutputWatch:
    """The profile's output check, while the assistant speaks. ``stop(item_id, rule)`` is called
    at a hit, at most once an item.
    """

    def __init__(self, held: HeldCall, stop: Stop) -> None:
        check = held.brief.assistant.output_check
        self._held = held
        self._stop = stop
        self._check = OutputCheck(check)
        self._moderated = check.kind == "moderation"

    async def words(self, item_id: ItemId, text: str, *, done: bool = False) -> None:
        """An item's text grew, or is ``done``. Does not wait for the moderation."""
        rule = self._check.look(item_id, text, done=done)
        if rule is not None:
            await self._stop(item_id, rule)
        elif self._moderated:
            for sentence in self._check.sentences(item_id, text, done=done):
                self._held.tasks.isolate(self._moderate(item_id, sentence), "moderation")

    async def _moderate(self, item_id: ItemId, sentence: str) -> None:
        worker = self._held.worker
        rule = await moderation.flagged(
            worker.client, sentence, model=worker.settings.openai_moderation_model
        )
        if rule is not None and self._check.flagged(item_id):
            await self._stop(item_id, rule)


def output_watch(held: HeldCall, stop: Stop) -> OutputWatch | None:
    """The watch that the profile asks for; None when it asks for none."""
    return None if held.brief.assistant.output_check.kind == "off" else OutputWatch(held, stop)


@contextlib.asynccontextmanager
async def todos_watched(held: HeldCall, news: TodoNews) -> AsyncGenerator[None]:
    """Tells ``news`` of every change of the caller's todos during the block; of none when the
    caller is not known.
    """
    caller = held.brief.caller
    if caller is None:
        yield
        return

    async def changed(message: Message) -> None:
        news.changed(codec.decode(TodoChanged, message.data), clock.monotonic_ms())

    watched = await held.worker.bus.subscribe(subjects.todo_changed(caller.caller_id), changed)
    try:
        yield
    finally:
        await watched.stop()
