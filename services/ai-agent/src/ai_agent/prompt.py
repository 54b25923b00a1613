"""The instructions of a session: the profile's words, today's date in the caller's zone, their
open todos (pure).
"""

from collections.abc import Sequence
from datetime import date

from protocol.todos import Caller, Todo

TODOS_SHOWN = 20


def instructions(
    profile: str, *, today: date, time_zone: str, caller: Caller | None, todos: Sequence[Todo]
) -> str:
    """Plain text for ``session.instructions``."""
    lines = [
        profile.strip(),
        "",
        f"Today is {today:%A} {today.isoformat()} in the caller's time zone ({time_zone}).",
    ]
    if caller is not None and caller.name:
        lines.append(f"The caller's name is {caller.name}.")
    if todos:
        lines.append("The caller's open todos, as they stood when the call began:")
        lines += [
            f"- id {t.id}, due {t.deadline.isoformat()}: {t.description}"
            for t in todos[:TODOS_SHOWN]
        ]
        if len(todos) > TODOS_SHOWN:
            lines.append(f"- and {len(todos) - TODOS_SHOWN} more; use get_tasks.")
    elif caller is not None:
        lines.append("The caller has no open todos.")
    return "\n".join(lines)
