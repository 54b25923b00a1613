"""What the pure conversation asks its shell to do. The shell performs them in order."""

from typing import Any, Literal

from msgspec import Struct

from protocol.events import AgentEvent
from protocol.ids import ItemId, ToolCallId
from protocol.line import Intent


class Tell(Struct, frozen=True):
    """Send this client event to the model."""

    command: dict[str, Any]


class Play(Struct, frozen=True):
    """Audio (mu-law bytes) of an item for the caller."""

    item_id: ItemId
    audio: bytes


class PlayDone(Struct, frozen=True):
    """All audio of the item has been handed over."""

    item_id: ItemId


class ClearPlayback(Struct, frozen=True):
    """Drop what the caller has not heard; ``n`` grows with each clear."""

    n: int


class CallTool(Struct, frozen=True):
    """Run a tool, off the audio path; its outcome comes back by ``Conversation.on_tool_output``."""

    tool_call_id: ToolCallId
    item_id: ItemId
    name: str
    arguments: str


class Record(Struct, frozen=True):
    """Write an event of this kind to the log; the shell adds ids, time and epoch."""

    kind: type[AgentEvent]
    fields: dict[str, Any]


class Show(Struct, frozen=True):
    """Partial words of an item, for screens."""

    item_id: ItemId
    party: Literal["caller", "assistant"]
    text: str


class GiveUp(Struct, frozen=True):
    """The model cannot carry this call on: end it with an honest sentence."""

    reason: str
    intent: Intent = "failed"


class Reopen(Struct, frozen=True):
    """This session is of no use any more: go on in a new one. ``in_words``: one that is told the
    call so far by its instructions, because items made it write instead of speak.
    """

    reason: str
    in_words: bool = False


class Close(Struct, frozen=True):
    """Close the line once what was said has been heard."""

    intent: Intent


Effect = Tell | Play | PlayDone | ClearPlayback | CallTool | Record | Show | GiveUp | Reopen | Close
