"""Messages of ``callers.*`` beyond identify and list: PINs, admission and spend, owned by
tool-runner.

A PIN travels only in ``VerifyPin`` and ``SetPin``, over NATS, and is neither logged nor kept;
what is kept is its argon2 hash. All counting is tool-runner's, so that every worker sees one
number.
"""

from msgspec import Struct

from protocol.ids import CallerId, CallId, EventId


class VerifyPin(Struct, frozen=True):
    """``callers.verify_pin``: do these digits open the gate? A repeat under one ``key`` counts
    once.
    """

    number: str
    call: CallId
    digits: str
    key: EventId


class PinAccepted(Struct, frozen=True, tag="accepted"):
    caller_id: CallerId


class PinRejected(Struct, frozen=True, tag="rejected"):
    """Wrong; ``tries_left`` of this call (3 in all)."""

    tries_left: int


class PinLocked(Struct, frozen=True, tag="locked"):
    """The number is locked out for so long, after repeated failures."""

    seconds: int


class NoPin(Struct, frozen=True, tag="none"):
    """This number has no PIN; the profile's policy decides."""


PinVerdict = PinAccepted | PinRejected | PinLocked | NoPin


class PinState(Struct, frozen=True):
    """``callers.pin_state``: may this number try at all, and has it a PIN?"""

    number: str


class PinStanding(Struct, frozen=True):
    has_pin: bool
    locked_s: int = 0


class SetPin(Struct, frozen=True):
    """``callers.set_pin``: 4 to 8 digits, or None to remove it. Answers PinStanding."""

    caller_id: CallerId
    digits: str | None


class AdmitCall(Struct, frozen=True):
    """``callers.admit``: count this call of ``number`` and say whether it may go on. 0: no bound.

    Repeated for one call it counts once; a call is open until its ``call_ended``, at most 4 hours.
    """

    call: CallId
    number: str
    at_once: int = 0
    a_day: int = 0


class Admitted(Struct, frozen=True, tag="admitted"):
    """``known``: the number had a record before this call."""

    known: bool


class NotAdmitted(Struct, frozen=True, tag="not_admitted"):
    """``reason``: at_once or a_day."""

    reason: str


Admission = Admitted | NotAdmitted


class Spend(Struct, frozen=True):
    """``callers.spend``: add ``usd`` (0 to only ask) to today's total (UTC). A repeat under
    ``key`` adds once.
    """

    key: EventId
    usd: float = 0.0


class DaySpend(Struct, frozen=True):
    usd: float


class ForgetCaller(Struct, frozen=True):
    """``callers.forget``: remove everything kept of this number: the record, todos, tool results,
    PIN, guesses and admitted calls. Asked again it finds nothing and says so.
    """

    number: str


class CallerForgotten(Struct, frozen=True):
    """What was removed. ``caller_id`` is None when there was no record; ``calls`` are those that
    were counted of the number.
    """

    caller_id: CallerId | None = None
    todos: int = 0
    tool_results: int = 0
    pin_attempts: int = 0
    calls: tuple[CallId, ...] = ()
