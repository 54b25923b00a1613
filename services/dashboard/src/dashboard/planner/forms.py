"""What a person typed into the planner's form, and what is wrong with it (pure).

Rules about todos belong to tool-runner; only what cannot be asked at all is caught here. Whatever
was typed stays in the draft, so that a refused form comes back as it was sent.
"""

from collections.abc import Mapping
from datetime import date

from msgspec import Struct, field

from protocol.todos import Refused, Todo

MAX_BYTES = 64 * 1024
FIELDS = ("description", "deadline")


class Draft(Struct):
    """A form's texts. ``problems``: a sentence by field, under ``""`` what is about no field."""

    description: str = ""
    deadline: str = ""
    problems: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def day(self) -> date | None:
        """The deadline as a day, or None when it is none."""
        try:
            return date.fromisoformat(self.deadline)
        except ValueError:
            return None

    def refuse(self, refused: Refused) -> None:
        """Put tool-runner's answer at the field that it names."""
        at = refused.field if refused.field in FIELDS else ""
        self.problems[at or ""] = refused.message


def draft(form: Mapping[str, str]) -> Draft:
    """The form as a draft with the problems that can be seen without asking. ``to`` is the button
    of a day, which counts for more than the field.
    """
    typed = Draft(form.get("description", ""), form.get("to") or form.get("deadline", ""))
    if not typed.description.strip():
        typed.problems["description"] = "Say what is to be done."
    if typed.day is None:
        typed.problems["deadline"] = "Choose a day, like 2026-11-24."
    return typed


def draft_of(todo: Todo) -> Draft:
    """The form that edits ``todo``."""
    return Draft(todo.description, todo.deadline.isoformat())
