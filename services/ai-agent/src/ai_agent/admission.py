"""Whether a call may go on at all, and with whose record: strangers, withheld numbers, too many
calls.
"""

from typing import Literal

from msgspec import Struct

from protocol import subjects
from protocol.call import CallState
from protocol.callers import Admission, AdmitCall, Admitted, NotAdmitted
from protocol.errors import DecodeError
from runtime import errors, logging
from runtime.assistant import E164, Assistant
from runtime.bus import Bus

_log = logging.get("admission")

ASK_S = 1.5


class Standing(Struct, frozen=True):
    """known: a record is there or will be made; guest: none; refused: no call."""

    kind: Literal["known", "guest", "refused"]
    reason: str = ""


async def admit(bus: Bus, assistant: Assistant, state: CallState) -> Standing:
    """How the profile treats this caller. While nobody counts (tool-runner away) the call goes
    on.
    """
    if not E164.match(state.caller):
        # Withheld numbers are many people: they share no record.
        return Standing(
            "guest" if assistant.strangers.withheld == "guest" else "refused", "withheld"
        )
    limits, unknown = assistant.limits, assistant.strangers.unknown
    question = AdmitCall(state.call_id, state.caller, limits.calls_at_once, limits.calls_a_day)
    try:
        answer: Admission = await bus.request(
            subjects.callers("admit"), question, Admitted | NotAdmitted, timeout=ASK_S
        )
    except (errors.NoAnswer, errors.NatsAway, errors.Refused, DecodeError) as error:
        _log.warning("call not counted", call_id=state.call_id, kind=type(error).__name__)
        return Standing("known", "not counted")
    if isinstance(answer, NotAdmitted):
        return Standing("refused", answer.reason)
    if answer.known or unknown == "new":
        return Standing("known")
    return Standing("guest" if unknown == "guest" else "refused", "unknown")
