"""Audio tracks of a call on the bus: raw mu-law blocks, each with its place on the line in a
header. Shown to whoever listens now, or kept in the stream RECORDINGS, which shows it then.
"""

from collections.abc import Mapping

import nats.errors
from nats.js.errors import Error as JetStreamError

from protocol import subjects
from protocol.ids import CallId
from protocol.line import LINE_MS_HEADER, Track
from protocol.streams import MSG_ID
from runtime.bus import Bus
from runtime.errors import NatsAway

ACK_S = 2.0
"""Seconds that the stream may take to keep a block."""
_FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


async def show(bus: Bus, call: CallId, track: Track, line_ms: int, audio: bytes) -> bool:
    """Publish a block for those who listen now. False when NATS is away: it is dropped."""
    if not bus.connected:
        return False
    headers = {LINE_MS_HEADER: str(line_ms)}
    try:
        await bus.client.publish(subjects.ear(call, track), audio, headers=headers)
    except nats.errors.Error:
        return False
    return True


async def keep(bus: Bus, call: CallId, track: Track, line_ms: int, audio: bytes) -> None:
    """Publish a block into the stream and return when it is kept. Asked again after a failure it
    is kept once. Raises NatsAway when the stream is away, or refuses it.
    """
    if not bus.connected:
        raise NatsAway("stream RECORDINGS is away")
    headers = {LINE_MS_HEADER: str(line_ms), MSG_ID: f"{call}.{track}.{line_ms}.{len(audio)}"}
    subject = subjects.recording(call, track)
    try:
        await bus.jetstream.publish(subject, audio, headers=headers, timeout=ACK_S)
    except _FAILURES as error:
        raise NatsAway("stream RECORDINGS does not keep what is said") from error


def line_ms_of(headers: Mapping[str, str] | None) -> int | None:
    """Where on the line a block begins; None when it does not say."""
    text = (headers or {}).get(LINE_MS_HEADER, "")
    return int(text) if text.isdecimal() and len(text) <= 12 else None  # years of one call
