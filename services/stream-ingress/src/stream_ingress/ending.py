"""How a leg ends, and the close codes of RFC 6455 that it may end with."""

from msgspec import Struct

NORMAL = 1000
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013


class Ending(Struct, frozen=True):
    """How a leg ends: ``reason`` for the log (stop, closed, lost, or what was refused); code and
    text of the close frame.
    """

    reason: str
    code: int = NORMAL
    text: str = ""
