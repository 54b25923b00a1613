"""Supervised tasks: the only place that spawns. Nothing outlives its owner; on leaving, what
still runs is cancelled.

Two ways for a child to fail: ``spawn`` ends the owner (its error is raised from the ``async
with``), ``isolate`` is logged and counted, for children that must not harm their siblings (one
call among many).
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from prometheus_client import Counter, Gauge

from runtime.logging import get

_log = get("tasks")
_failures = Counter(
    "trunkline_task_failures_total", "Isolated tasks that ended in an error", ["task"]
)
_unfinished = Gauge("trunkline_asyncio_tasks", "Tasks of the process that have not ended")

T = TypeVar("T")

CANCEL_AGAIN_S = 3.0
"""More than any orderly end takes."""


class Tasks:
    """A group of tasks owned by the ``async with`` block around it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._group = asyncio.TaskGroup()
        self._running: set[asyncio.Task[None]] = set()
        self._again: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cancel()
        try:
            await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:  # the usual case: one child failed; raise what it raised
                raise group.exceptions[0] from None
            raise
        finally:
            if self._again is not None:
                self._again.cancel()

    def _cancel(self) -> None:
        # Before Python 3.12 wait_for swallows a cancellation that meets its result, and nats-py
        # swallows some too: ask again until all have ended.
        for task in self._running:
            task.cancel()
        if self._running:
            loop = asyncio.get_running_loop()
            self._again = loop.call_later(CANCEL_AGAIN_S, self._cancel)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` as a part of the owner: its error ends the owner."""
        task = self._group.create_task(work, name=f"{self._name}.{name}")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def isolate(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run ``work`` beside its siblings: its error is logged and counted, and harms nobody
        else.
        """
        task = self.spawn(self._contained(work, name), name)
        # One that is cancelled before its first step never comes to await ``work``.
        task.add_done_callback(lambda _: work.close())
        return task

    def __len__(self) -> int:
        return len(self._running)

    async def finish(self) -> None:
        """Wait until every child running now has ended by itself."""
        while self._running:
            await asyncio.wait(self._running)

    async def _contained(self, work: Coroutine[Any, Any, None], name: str) -> None:
        try:
            await work
        except Exception:
            _failures.labels(name).inc()
            _log.exception("task failed", task=f"{self._name}.{name}")


def count_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Let /metrics tell the unfinished tasks of ``loop``, counted on each scrape."""
    _unfinished.set_function(lambda: len(asyncio.all_tasks(loop)))


async def heeding(work: Awaitable[T]) -> T:
    """Await ``work``, and be cancelled even if the cancellation meets its result: before Python
    3.12 wait_for swallows it then, and whoever asked would go on as if nothing had happened.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    result = await work
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError
    return result
