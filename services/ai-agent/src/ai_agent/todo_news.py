"""Changes of the caller's todos that did not come from this call (PURE): collected, told in one
note.

Fed by the todo watch and by the talk's own tool calls; asked a few times a second.
"""

from protocol.todos import TodoChanged

AFTER_OWN_MS = 1_500
"""A change by a tool of ours may be announced this long after the tool's answer."""
LISTED = 5


class TodoNews:
    """What is to be told. While a tool of ours runs, and ``AFTER_OWN_MS`` after, every change is
    taken for ours and dropped: the announcement does not say who made it.
    """

    def __init__(self) -> None:
        self._changes: list[TodoChanged] = []
        self._running = 0
        self._ours_until_ms = 0

    def own_began(self) -> None:
        """A tool call of this call is on its way."""
        self._running += 1

    def own_ended(self, now_ms: int) -> None:
        """It has its answer, or none will come."""
        self._running -= 1
        self._ours_until_ms = now_ms + AFTER_OWN_MS

    def changed(self, change: TodoChanged, now_ms: int) -> None:
        """A todo of the caller's changed."""
        if not self._running and now_ms >= self._ours_until_ms:
            self._changes.append(change)

    def take(self) -> str | None:
        """A note for the model about all changes since the last one; None without any."""
        changes, self._changes = self._changes, []
        if not changes:
            return None
        lines = ["The caller's todos were changed elsewhere during this call, not by you:"]
        for told in changes[:LISTED]:
            todo = told.todo
            words = " ".join(todo.description.split())
            lines.append(f"- {told.change}: id {todo.id}, due {todo.deadline.isoformat()}: {words}")
        if len(changes) > LISTED:
            lines.append(f"- and {len(changes) - LISTED} more.")
        lines.append("Know it for what comes; do not speak of it unless it matters.")
        return "\n".join(lines)
