"""What the player of a call that is over needs to know (pure)."""

from msgspec import Struct

from dashboard.people.operator import Operator
from protocol.call import CallState


class Replay(Struct, frozen=True):
    """``over``: the call has ended. ``recorded``: sound may have been kept; ``may_hear``: this
    operator may play it.
    """

    call_id: str
    over: bool
    recorded: bool
    may_hear: bool


def replay_of(state: CallState, operator: Operator | None) -> Replay:
    """The player of ``state`` for ``operator``."""
    return Replay(
        call_id=state.call_id,
        over=state.phase == "ended",
        recorded=state.recorded_from_ms is not None,
        may_hear=operator is not None and operator.may("operator"),
    )
