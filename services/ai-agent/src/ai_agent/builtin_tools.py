"""The tools that the agent itself offers to the model: ending the call and passing it to a human.

They need no service: they say what happens to the line once the last words were heard (PURE).
"""

from datetime import datetime

from msgspec import Struct

from protocol.events import OfferedTool
from protocol.line import Intent
from runtime.assistant import Assistant, somebody_there

END_CALL = "end_call"
TRANSFER = "transfer_to_human"
NAMES = frozenset({END_CALL, TRANSFER})
_NO_ARGUMENTS = '{"type":"object","properties":{},"additionalProperties":false}'


class Answer(Struct, frozen=True):
    """What the model is told (JSON text), and how the line ends then, if it does."""

    output: str
    intent: Intent | None = None


def offered(assistant: Assistant) -> tuple[OfferedTool, ...]:
    """The agent's own tools for a profile."""
    tools = [
        OfferedTool(
            END_CALL,
            "End the call once the caller has said goodbye or wants to stop. Say goodbye in one"
            " short sentence first; the line is closed when it was heard.",
            _NO_ARGUMENTS,
        )
    ]
    if assistant.transfer.number:
        tools.append(
            OfferedTool(
                TRANSFER,
                "Pass the caller to a human, when they ask for one. Say so in one short sentence"
                " first; they are connected when it was heard.",
                _NO_ARGUMENTS,
            )
        )
    return tuple(tools)


def run(name: str, assistant: Assistant, now: datetime) -> Answer | None:
    """Answer one of our own tools at ``now`` (the profile's zone); None for every other."""
    if name == END_CALL:
        return Answer('{"status":"ending"}', "hangup")
    if name == TRANSFER:
        if somebody_there(assistant.transfer, now):
            return Answer('{"status":"connecting"}', "transfer")
        return Answer(
            '{"status":"failed","message":"Nobody is available right now. Tell the caller."}'
        )
    return None
