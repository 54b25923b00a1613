"""What a running call can be told: requests on ``call.<id>.command`` and their replies.

The worker that holds the call answers; every other stays silent, so a request that nobody answers
reached a call that nobody holds.
"""

from typing import Literal

from msgspec import Struct

BY_MAX = 80
"""Characters of the name of who asks."""
INSTRUCTIONS_MAX = 50_000
"""Characters of instructions."""
TOOLS_MAX = 64
"""Names in a list of tools."""

RefusalCode = Literal[
    "unreadable",
    "nothing_asked",
    "too_long",
    "no_session",
    "no_profile",
    "unknown_tool",
    "not_applied",
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


Command = UpdateSession
"""Every command; more will follow."""


class Done(Struct, frozen=True, tag="done"):
    """It is in force, and the log says so."""


class Refused(Struct, frozen=True, tag="refused"):
    """Nothing was changed; ``message`` says why, for a person."""

    code: RefusalCode
    message: str


Reply = Done | Refused
