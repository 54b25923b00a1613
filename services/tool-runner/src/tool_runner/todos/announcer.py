"""Tells everybody that todos changed, after the commit: ``todo.<caller_id>.changed``. Called by
the planner and the tool endpoints. A lost announcement is counted, never retried: it is a hint.
"""

from collections.abc import Iterable

from protocol import subjects
from protocol.todos import TodoChanged
from runtime import logging
from runtime.bus import Bus
from runtime.errors import NatsAway
from tool_runner import metrics

_log = logging.get("announcer")


async def announce(bus: Bus, changes: Iterable[TodoChanged]) -> None:
    """Publish ``changes`` in order. Raises nothing: the change itself is done."""
    for change in changes:
        try:
            await bus.publish(subjects.todo_changed(change.caller_id), change)
        except NatsAway:
            metrics.changes_lost.inc()
            _log.warning("todo change not announced", change=change.change)
