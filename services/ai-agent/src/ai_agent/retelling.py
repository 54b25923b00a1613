"""A call so far in the model's own terms (PURE): as items of the conversation, or, for a model that
takes items as an invitation to write, as a part of the instructions.

OpenAI cannot resume a session; an assistant's item may only be created with ``output_text``.
"""

from collections.abc import Sequence

from ai_agent.realtime.commands import (
    Command,
    assistant_text,
    function_call,
    system_text,
    tool_output,
    user_text,
)
from ai_agent.restore import Called, CutOff, Lost, Noted, Pressed, Told, Words
from protocol.ids import ItemId

CUT_OFF = (
    "The line between you and the caller broke while you were speaking. The caller heard of your"
    " last words what stands here, up to the dots. Go on with the rest. Do not start over, do not"
    " greet, do not mention this."
)
LOST = "The caller said something here that was lost. Ask them to say it again."
SO_FAR = (
    "You are in the middle of this call. What was said and done so far stands below; do not greet"
    " again. Answer aloud."
)
MAX_ID = 32
"""Longer item ids may be refused; such an item gets one of the model's."""


def items(told: Sequence[Told]) -> list[Command]:
    """One conversation.item.create each, a tool call with its result two; in order."""
    commands: list[Command] = []
    for entry in told:
        match entry:
            case Words():
                commands.append(_message(entry))
            case Called(use):
                commands.append(function_call(use.tool_call_id, use.name, use.arguments))
                if use.returned_sequence:
                    commands.append(tool_output(use.tool_call_id, use.result))
            case Pressed():
                commands.append(user_text(_pressed(entry)))
            case Lost():
                commands.append(system_text(LOST))
            case Noted():
                commands.append(system_text(entry.text))
            case CutOff():
                commands.append(system_text(CUT_OFF))
    return commands


def words(told: Sequence[Told]) -> str:
    """The same as text for the instructions; empty when nothing was said."""
    lines: list[str] = []
    for entry in told:
        match entry:
            case Words(party="caller"):
                lines.append(f"Caller: {entry.text}")
            case Words():
                lines.append(f"You: {entry.text}")
            case Called(use):
                result = use.result if use.returned_sequence else "no result yet"
                lines.append(f"You called {use.name} with {use.arguments}: {result}")
            case Pressed():
                lines.append(_pressed(entry))
            case Lost():
                lines.append(LOST)
            case Noted():
                lines.append(entry.text)
            case CutOff():
                lines.append(CUT_OFF)
    return "\n".join([SO_FAR, *lines]) if lines else ""


def unanswered(told: Sequence[Told]) -> list[Command]:
    """Of ``items`` those that an answer to come refers to: tool calls without a result."""
    return items([t for t in told if isinstance(t, Called) and not t.use.returned_sequence])


def own_id(item_id: ItemId) -> str:
    """The name that an item is told under; empty when the model names it."""
    return item_id if len(item_id) <= MAX_ID else ""


def _message(entry: Words) -> Command:
    tell = user_text if entry.party == "caller" else assistant_text
    return tell(entry.text, own_id(entry.item_id))


def _pressed(entry: Pressed) -> str:
    return f"The caller pressed {' '.join(entry.digits)}."
