"""What the PIN gate and the keypad menu ask their shell to do, in order (pure data).

Speech here is made without the model; the shell reports by ``on_heard`` when all of it was heard.
"""

from typing import Any, Literal, get_args

from msgspec import Struct

from ai_agent.effects import Record
from protocol.ids import CallerId
from runtime.assistant import MenuItem

PromptName = Literal[
    "gate_prompt",
    "gate_reminder",
    "gate_too_short",
    "gate_restarted",
    "gate_wrong",
    "gate_accepted",
    "gate_locked",
    "gate_no_pin",
    "gate_unavailable",
    "gate_refused",
    "keypad",
    "keypad_unknown_key",
    "keypad_not_back",
    "budget",
    "transferring",
    "nobody",
    "tool_failed",
    "still_there",
    "silent_goodbye",
    "human",
]
"""Of the prompts that the speaker ships, those that are asked for here."""
PROMPTS: tuple[PromptName, ...] = get_args(PromptName)
RefusedReason = Literal["tries", "locked", "silence", "no_pin", "keys", "unavailable"]


class SayPrompt(Struct, frozen=True):
    """Play a fixed sentence, after what is being said. Fields: gate_wrong has ``tries_left``,
    gate_locked ``minutes``.
    """

    name: PromptName
    fields: dict[str, Any] = {}


class SayText(Struct, frozen=True):
    """Speak ``text``, after what is being said. ``personal``: it holds the caller's own data, so
    it is not kept for long. ``otherwise``: what is left to say when nothing can speak it.
    """

    text: str
    personal: bool = False
    otherwise: PromptName | None = None


class StopSpeech(Struct, frozen=True):
    """Drop what is being said: the caller pressed a key."""


class Verify(Struct, frozen=True):
    """Ask whether these digits open the gate: the only place where they leave it."""

    digits: str

    def __repr__(self) -> str:
        return "Verify(digits=•)"


class Passed(Struct, frozen=True):
    """The gate is open, nothing said or pressed before ``line_ms`` is for anybody else.

    ``caller_id`` None: a caller without PIN, let through by the profile.
    """

    caller_id: CallerId | None
    line_ms: int


class Refused(Struct, frozen=True):
    """The gate stays shut: hang up once what was said has been heard."""

    reason: RefusedReason


class RunMenu(Struct, frozen=True):
    """Run an item's tool; its answer comes back by ``Menu.on_tool_output`` under ``run``."""

    run: int
    item: MenuItem


class CallHuman(Struct, frozen=True):
    """Transfer the call to the profile's human once what was said has been heard;
    ``Menu.on_human_away`` if that cannot be.
    """


class TryConversation(Struct, frozen=True):
    """The caller asks for the assistant; ``Menu.on_assistant_away`` if it still does not work."""


class HangUp(Struct, frozen=True):
    """End the call once what was said has been heard."""

    reason: Literal["silence", "operator"]


GateEffect = SayPrompt | StopSpeech | Verify | Record | Passed | Refused
MenuEffect = (
    SayPrompt | SayText | StopSpeech | RunMenu | CallHuman | TryConversation | HangUp | Record
)
