"""Performs the parts of a reply as a response: paced audio, transcript between, tool calls.

Called by the session, one coroutine a response; the session alone starts and finishes responses.
Audio goes out in pieces of varying length, faster than real time, as from the real API.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from testbed.realtime.formats import BYTES_PER_MS
from testbed.realtime.minds import (
    CallTool,
    Controls,
    Drop,
    Emit,
    Fail,
    Incomplete,
    Part,
    Pause,
    Say,
)
from testbed.realtime.responses import Events, ResponseWriter
from testbed.realtime.schema import JsonObject
from testbed.realtime.tones import tone

PIECE_BYTES = (1_600, 1_441, 1_760, 1_283, 2_011, 1_600)
"""Lengths of successive audio deltas (mu-law): about 200 ms, mostly no multiples of a frame."""

TONE_MS_PER_CHARACTER = 60
_ARGUMENTS_PIECE = 24


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a response ended: its status and what status_details say."""

    status: str
    details: JsonObject | None = None


COMPLETED = Outcome("completed")
OUT_OF_TOKENS = Outcome("incomplete", {"reason": "max_output_tokens"})


async def perform(
    parts: Sequence[Part],
    writer: ResponseWriter,
    *,
    send: Callable[[Events], None],
    controls: Controls,
    pace: float,
    as_audio: bool,
) -> Outcome:
    """Send the events of all parts; `pace` = ms of audio sent per ms of time (0 = at once)."""
    for index, part in enumerate(parts):
        cut = any(isinstance(following, Incomplete) for following in parts[index + 1 : index + 2])
        match part:
            case Say():
                spoken = as_audio and part.as_audio
                send(writer.open_message(as_audio=spoken))
                pieces = _spoken(part) if spoken else _written(part)
                for audio, words in pieces:
                    if writer.over_budget:
                        return OUT_OF_TOKENS
                    if words:
                        send(writer.add_text(words))
                    if audio:
                        send(writer.add_audio(audio))
                        await _wait(len(audio) / BYTES_PER_MS, pace)
                send(writer.close_message("incomplete" if cut else "completed"))
            case CallTool():
                send(writer.open_call(part.name, part.tool_call_id))
                for piece in _argument_pieces(part):
                    if writer.over_budget:
                        return OUT_OF_TOKENS
                    send(writer.add_arguments(piece))
                    await asyncio.sleep(0)
                send(writer.close_call("incomplete" if cut else "completed"))
            case Pause(ms):
                await asyncio.sleep(ms / 1_000)
            case Emit(event):
                controls.emit(event)
            case Drop(code, reason):
                controls.drop(code, reason)
                return Outcome("failed", {"error": {"type": "dropped", "message": reason}})
            case Fail(message, code, kind):
                error = {"type": kind, "code": code, "message": message}
                return Outcome("failed", {"error": error})
            case Incomplete(reason):
                return Outcome("incomplete", {"reason": reason})
    return COMPLETED


async def _wait(audio_ms: float, pace: float) -> None:
    await asyncio.sleep(audio_ms / pace / 1_000 if pace else 0)


def _spoken(part: Say) -> Iterator[tuple[bytes, str]]:
    """Pieces of audio, each with the words that are spoken in it."""
    audio = part.audio
    if audio is None:
        ms = part.audio_ms
        audio = tone(part.text, len(part.text) * TONE_MS_PER_CHARACTER if ms is None else ms)
    if not audio:
        yield b"", part.text
        return
    sizes = itertools.cycle(PIECE_BYTES)
    start, shown = 0, 0
    while start < len(audio):
        end = min(len(audio), start + next(sizes))
        upto = _word_end(part.text, len(part.text) * end // len(audio))
        yield audio[start:end], part.text[shown:upto]
        start, shown = end, upto


def _written(part: Say) -> Iterator[tuple[bytes, str]]:
    shown = 0
    while shown < len(part.text):
        upto = _word_end(part.text, shown + 1)
        yield b"", part.text[shown:upto]
        shown = upto


def _word_end(text: str, at: int) -> int:
    """The end of the word that the character at `at` belongs to."""
    space = text.find(" ", at)
    return len(text) if space < 0 else space


def _argument_pieces(part: CallTool) -> Iterator[str]:
    given = part.arguments
    arguments = given if isinstance(given, str) else json.dumps(given)
    for start in range(0, len(arguments), _ARGUMENTS_PIECE):
        yield arguments[start : start + _ARGUMENTS_PIECE]
