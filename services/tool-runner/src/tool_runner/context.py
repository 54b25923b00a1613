"""What a tool gets beside its arguments. Made by endpoints, one for each request."""

from dataclasses import dataclass
from datetime import date, datetime

from protocol.todos import Caller
from tool_runner.callers.rules import zone
from tool_runner.todos import rules
from tool_runner.todos.repository import Todos


@dataclass(frozen=True)
class Context:
    """``caller`` asked at ``now`` (UTC); ``todos`` are theirs, inside the request's transaction."""

    caller: Caller
    now: datetime
    todos: Todos

    @property
    def today(self) -> date:
        """The caller's day."""
        return rules.today(self.now, zone(self.caller.time_zone))
