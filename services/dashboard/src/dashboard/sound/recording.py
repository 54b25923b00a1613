"""The sound of a call as stream RECORDINGS keeps it: both tracks, aligned. Read whole, within a
bound of time and of size.
"""

import asyncio
import contextlib

from msgspec import Struct

from protocol import subjects
from protocol.audio import BYTES_PER_MS, SILENCE, duration_ms
from protocol.ids import CallId
from protocol.streams import RECORDINGS
from runtime.bus import Bus
from runtime.errors import NatsAway
from runtime.scan import scan
from runtime.tracks import line_ms_of

READ_S = 20.0
"""Seconds that reading a recording may take."""
LONGEST_MS = 2 * 3600 * 1000
"""Of a recording no more than its first two hours are read: two tracks of 58 MB."""
_TRACKS = ("caller", "assistant")


class Recording(Struct, frozen=True):
    """mu-law 8 kHz of both parties from ``start_ms`` on the line on, of equal length. What was not
    kept is silence.
    """

    start_ms: int
    caller: bytes
    assistant: bytes


async def recorded(bus: Bus, call: CallId) -> Recording | None:
    """The recording of a call; None when nothing is kept of it. Raises NatsAway, also when it
    takes too long.
    """
    blocks: dict[str, list[tuple[int, bytes]]] = {track: [] for track in _TRACKS}
    begins_ms: int | None = None
    try:
        async with (
            asyncio.timeout(READ_S),
            contextlib.aclosing(
                scan(bus, RECORDINGS.name, subjects.call_recording(call))
            ) as everything,
        ):
            async for kept in everything:
                track, line_ms = kept.subject.rpartition(".")[2], line_ms_of(kept.headers)
                if track not in blocks or line_ms is None or not kept.data:
                    continue
                begins_ms = line_ms if begins_ms is None else min(begins_ms, line_ms)
                if line_ms >= begins_ms + LONGEST_MS:
                    break
                blocks[track].append((line_ms, kept.data))
    except TimeoutError as error:
        raise NatsAway("the recording cannot be read in time") from error
    if begins_ms is None:
        return None
    ends_ms = max(at + duration_ms(audio) for laid in blocks.values() for at, audio in laid)
    length_ms = min(ends_ms - begins_ms, LONGEST_MS)
    caller, assistant = (_laid(blocks[track], begins_ms, length_ms) for track in _TRACKS)
    return Recording(begins_ms, caller, assistant)


def _laid(blocks: list[tuple[int, bytes]], begins_ms: int, length_ms: int) -> bytes:
    track = bytearray(SILENCE * (length_ms * BYTES_PER_MS))
    for line_ms, audio in blocks:
        start = (line_ms - begins_ms) * BYTES_PER_MS
        room = len(track) - start
        track[start : start + min(len(audio), room)] = audio[:room]
    return bytes(track)
