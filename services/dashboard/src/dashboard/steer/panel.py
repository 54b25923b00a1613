"""What the action panel of a call shows, and which acts cannot be done now (pure)."""

from msgspec import Struct

from dashboard.people.operator import Operator
from dashboard.steer.acts import ACTS, ActName, hindrance
from protocol.call import CallState


class Panel(Struct, frozen=True):
    """The panel for one operator. ``why`` has a sentence for each act that cannot be done now;
    ``speaker`` is who speaks in the assistant's place, ``mine``: that is this operator.
    """

    call_id: str
    over: bool
    at_gate: bool
    why: dict[ActName, str]
    speaker: str
    mine: bool
    other_mode: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences that explain what is disabled, each once; what nobody misses is left out:
        that there is nothing to give back, and a mode that is on.
        """
        said = [self.why[act] for act in ACTS if act != "give_back" and act in self.why]
        return tuple(dict.fromkeys(said))


def panel_of(state: CallState, operator: Operator | None) -> Panel | None:
    """The panel for ``operator``; None for those who may not act."""
    if operator is None or not operator.may("operator"):
        return None
    why: dict[ActName, str] = {}
    for act in ACTS:
        if said := hindrance(state, act, operator.name):
            why[act] = said
    return Panel(
        call_id=state.call_id,
        over=state.phase == "ended",
        at_gate=state.mode == "gate",
        why=why,
        speaker=state.operator,
        mine=bool(state.operator) and state.operator == operator.name,
        other_mode="conversation" if state.mode == "keypad" else "keypad",
    )
