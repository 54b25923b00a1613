"""What the caller said before this worker heard the line, from ingress's ring (shell)."""

from ai_agent.held_call import HeldCall
from protocol import subjects
from protocol.call import CallState
from protocol.errors import DecodeError
from protocol.placement import Replay, ReplayRequest
from runtime import errors, logging

_log = logging.get("replay")
WAIT_S = 1
_NOTHING = Replay((), ())


async def replay(held: HeldCall, state: CallState) -> Replay:
    """The ringed audio and keys; nothing if ingress cannot say, and nothing from before the gate
    was passed.
    """
    first, request = held.audio.first_line_ms, held.request
    since = max(request.ring_from_ms, held.passed_line_ms)
    if first is None or first <= since or state.utterances:
        return _NOTHING
    wanted = ReplayRequest(held.id, request.leg, since, first)
    subject = subjects.ingress_replay(request.ingress)
    try:
        found: Replay = await held.worker.bus.request(subject, wanted, Replay, timeout=WAIT_S)
    except (errors.NoAnswer, errors.NatsAway, errors.Refused, DecodeError):
        _log.warning("no replay", call_id=held.id)
        return _NOTHING
    return found
