"""What a running call can be told: requests on ``call.<id>.command`` and their replies.

The worker that holds the call answers; every other stays silent, so a request that nobody answers
reached a call that nobody holds.
"""

from typing import Literal

from msgspec import Struct

from protocol.event_base import Mode

BY_MAX = 80
"""Characters of the name of who asks."""
INSTRUCTIONS_MAX = 50_000
"""Characters of instructions."""
TOOLS_MAX = 64
"""Names in a list of tools."""
TEXT_MAX = 1_000
"""Characters that an operator whispers or has said."""

RefusalCode = Literal[
    "unreadable",
    "nothing_asked",
    "too_long",
    "no_session",
    "no_profile",
    "unknown_tool",
    "not_applied",
    "not_now",
    "not_allowed",
    "taken",
]


class UpdateSession(Struct, frozen=True, tag="update_session"):
    """Give the open session of the model other instructions and tools, without interrupting it.

    ``by``: who asks, for the log. ``reload``: take them from the profile's file as it is now.
    ``instructions`` replace the profile's own text, ``tools`` its list of names; None leaves it.
    The rest of the profile stays as it was when the call began.
    """

    by: str
    reload: bool = False
    instructions: str | None = None
    tools: tuple[str, ...] | None = None


class Whisper(Struct, frozen=True, tag="whisper"):
    """Tell the assistant something that the caller does not hear; it interrupts nothing."""

    by: str
    text: str


class Say(Struct, frozen=True, tag="say"):
    """Have the assistant say this sentence, word for word, in its voice, after what it is saying.
    It works in every mode but the gate.
    """

    by: str
    text: str


class HangUp(Struct, frozen=True, tag="hang_up"):
    """End the call once what is being said was heard; ``now``: at once."""

    by: str
    now: bool = False


class Transfer(Struct, frozen=True, tag="transfer"):
    """Put the caller through to the human of the profile; ``to``: to this number (E.164) instead,
    which OUTBOUND_PREFIXES must allow.
    """

    by: str
    to: str | None = None


class ChangeMode(Struct, frozen=True, tag="change_mode"):
    """Go on at the keypad menu, or with the model."""

    by: str
    mode: Mode


class TakeOver(Struct, frozen=True, tag="take_over"):
    """Speak to the caller in the assistant's place: the model is muted, and what comes on
    ``call.<id>.operator.audio`` is what the caller hears. Without audio for ``LEASE_S`` the call
    goes back to the assistant. ``taken`` when another operator speaks.
    """

    by: str


class GiveBack(Struct, frozen=True, tag="give_back"):
    """Let the assistant go on; it is told what was said meanwhile."""

    by: str


LEASE_S = 3.0
"""Seconds without operator audio after which a call that was taken over is given back."""

Command = UpdateSession | Whisper | Say | HangUp | Transfer | ChangeMode | TakeOver | GiveBack
"""Every command."""


class Done(Struct, frozen=True, tag="done"):
    """It is in force, and the log says so."""


class Refused(Struct, frozen=True, tag="refused"):
    """Nothing was changed; ``message`` says why, for a person."""

    code: RefusalCode
    message: str


Reply = Done | Refused
