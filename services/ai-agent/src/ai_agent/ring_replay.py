"""What the caller said and pressed and this worker did not hear: from ingress's ring (shell)."""

import asyncio

from ai_agent.held_call import HeldCall
from protocol import subjects
from protocol.errors import DecodeError
from protocol.placement import Replay, ReplayRequest
from runtime import errors, logging

_log = logging.get("replay")
WAIT_S = 1
RING_MS = 30_000
"""Of the caller's audio no more than this can be had again."""
CLOCK_S = 1.5
"""The line tells its time once a second: without it nothing that is heard has a place."""
POLL_S = 0.02
_NOTHING = Replay((), ())


async def restored(held: HeldCall, from_ms: int) -> Replay:
    """What a new session has to hear from ``from_ms`` up to what is held back for it."""
    audio = held.audio
    for _ in range(round(CLOCK_S / POLL_S)):
        if audio.held_from_ms is not None:
            break
        await asyncio.sleep(POLL_S)
    first = audio.held_from_ms
    audio.skip_to(from_ms)
    return await between(held, from_ms, from_ms + RING_MS if first is None else first)


async def between(held: HeldCall, from_ms: int, to_ms: int) -> Replay:
    """The ringed audio and keys of [from_ms, to_ms), line time; nothing if ingress cannot say, and
    nothing from before the gate was passed.
    """
    request, from_ms = held.request, max(from_ms, held.passed_line_ms)
    if to_ms <= from_ms:
        return _NOTHING
    wanted = ReplayRequest(held.id, request.leg, from_ms, to_ms)
    subject = subjects.ingress_replay(request.ingress)
    try:
        found: Replay = await held.worker.bus.request(subject, wanted, Replay, timeout=WAIT_S)
    except (errors.NoAnswer, errors.NatsAway, errors.Refused, DecodeError):
        _log.warning("no replay", call_id=held.id)
        return _NOTHING
    return found
