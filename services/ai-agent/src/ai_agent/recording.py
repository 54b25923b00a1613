"""What may be heard of a call by others: opens ingress's ear once the gate was passed, has the call
recorded if its profile says so, and knows whether the caller was told.

Used by the call runner, before the first stage behind the gate.
"""

import asyncio

from ai_agent.held_call import HeldCall
from ai_agent.speaker.sentence import Sentence
from protocol.call import CallState
from protocol.events import RecordingStarted
from protocol.line import OpenEar
from runtime import logging
from runtime.assistant import Assistant, Recording
from runtime.errors import NatsAway, Refused, StaleWriter

_log = logging.get("recording")

ITEM = "voice_announced"
"""Items of the announcement are named so."""
WRITE_S = 1.0
"""How long the caller may wait until the log has it that they are recorded."""
AGAIN_S = 5.0
"""How often ingress is told again: it may have missed it."""


def begins(held: HeldCall, state: CallState) -> bool:
    """The call has not got past its gate before: its profile decides whether it is recorded. Later
    the log does, whatever the profile says by then.
    """
    fresh = state.mode not in ("keypad", "conversation")
    return fresh and held.brief.assistant.recording.keep


def announcement(held: HeldCall, state: CallState) -> Sentence | None:
    """What the caller must hear first: that they are recorded. None when they are not, or heard
    it from a worker before, or nothing is to be said.
    """
    if not begins(held, state) or any(
        said.item_id.startswith(ITEM) and said.heard_ms > 0 and not said.cut
        for said in state.utterances
    ):
        return None
    return _sentence(held.brief.assistant)


async def opened(held: HeldCall, state: CallState) -> None:
    """Open the ear for as long as the worker holds the call. A recording begins once the log has
    its event; the call does not wait for that for long.
    """
    recorded_ms = state.recorded_from_ms
    if recorded_ms is not None:
        await held.line.open_ear(OpenEar(recorded_ms, record=True))
    elif begins(held, state):
        beginning = held.tasks.isolate(_begin(held), "recording")
        await asyncio.wait({beginning}, timeout=WRITE_S)
    else:
        await held.line.open_ear(OpenEar(held.passed_line_ms))
    held.tasks.isolate(_keep_open(held), "ear")


async def _begin(held: HeldCall) -> None:
    line_ms = max(held.passed_line_ms, held.audio.now_line_ms)
    announced = _sentence(held.brief.assistant) is not None
    event = held.event(RecordingStarted, {"line_ms": line_ms, "announced": announced})
    try:
        await held.outbox.append(event)
    except (StaleWriter, NatsAway, Refused) as error:
        _log.warning("call not recorded", call_id=held.id, kind=type(error).__name__)
        return
    await held.line.open_ear(OpenEar(line_ms, record=True))


async def _keep_open(held: HeldCall) -> None:
    while True:
        await asyncio.sleep(AGAIN_S)
        await held.line.tell_ear()


def _sentence(assistant: Assistant) -> Sentence | None:
    words = assistant.recording.announce.strip()
    if not words:
        return None
    if words == Recording().announce:  # shipped: heard in the profile's language, and at once
        return Sentence.fixed("recorded", assistant.language)
    return Sentence(words, assistant.voice, assistant.language, personal=False)
