"""What was recorded of a call, over HTTP: its waveform behind the score, and its sound as WAV, for
the player and as a file.

A recording is heard by operators only, and that is written down: once an hour for the player, each
time for a file.
"""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from dashboard.html import Html
from dashboard.live.board import Row
from dashboard.live.call_pages import CallPages
from dashboard.live.call_screen import WIDTH, bounded
from dashboard.live.pages import number
from dashboard.people.operator import operator_of, require
from dashboard.people.trail import Trail
from dashboard.score.layout import page
from dashboard.score.parts import LONGEST_MS
from dashboard.score.reading import parts_of
from dashboard.sound import wav
from dashboard.sound.kept import KeptRecordings
from dashboard.sound.recording import Recording
from dashboard.sound.waveform import paths
from protocol.ids import CallId
from runtime.clock import utc_now

WRITTEN_FOR = timedelta(hours=1)
"""How long an act of listening to a recording covers what the player fetches."""
REMEMBERED = 1000
NONE_KEPT = "No sound was kept of this call."


class RecordingPages:
    """Handlers of ``/calls/{call_id}/wave``, ``sound.wav`` and ``export.wav``."""

    def __init__(self, kept: KeptRecordings, trail: Trail, calls: CallPages, html: Html) -> None:
        self._kept = kept
        self._trail = trail
        self._calls = calls
        self._html = html
        self._heard: dict[tuple[str, CallId], datetime] = {}

    def routes(self) -> list[BaseRoute]:
        allowed = require("operator")
        return [
            Route("/calls/{call_id}/wave", self.wave),
            Route("/calls/{call_id}/sound.wav", allowed(self.sound)),
            Route("/calls/{call_id}/export.wav", allowed(self.export)),
        ]

    async def wave(self, request: Request) -> Response:
        """The waveform for a score of the same ``from``, ``to`` and ``width``, as a group of SVG
        that says where sound begins and ends. 404 when nothing was kept.
        """
        row = await self._recorded(request)
        found = await self._kept.waveform(row.call_id)
        if found is None:
            raise HTTPException(404, NONE_KEPT)
        length = parts_of(row.score, utc_now()).length_ms
        window = bounded(
            number(request, "from", 0, LONGEST_MS), number(request, "to", 0, LONGEST_MS), length
        )
        size = page(number(request, "width", 0, 4000) or WIDTH)
        caller, assistant = paths(found, size, window.from_ms, window.to_ms)
        return self._html.page("sound/_wave.html", wave=found, caller=caller, assistant=assistant)

    async def sound(self, request: Request) -> Response:
        """The sound for the player, in the ranges that it asks for."""
        row = await self._recorded(request)
        recording = await self._found(row.call_id)
        operator, session = operator_of(request), str(getattr(request.state, "session", ""))
        now, known = utc_now(), (session, row.call_id)
        if self._heard.get(known, now) <= now:
            await self._trail.acted(operator, row.call_id, "listen", "recording")
            self._heard.pop(known, None)
            self._heard[known] = now + WRITTEN_FOR
            while len(self._heard) > REMEMBERED:
                del self._heard[next(iter(self._heard))]
        return _file(request, recording, {"content-disposition": "inline"})

    async def export(self, request: Request) -> Response:
        """The sound as a file to keep."""
        row = await self._recorded(request)
        recording = await self._found(row.call_id)
        await self._trail.acted(operator_of(request), row.call_id, "export_recording")
        name = f'attachment; filename="{row.call_id}.wav"'
        return _file(request, recording, {"content-disposition": name})

    async def _recorded(self, request: Request) -> Row:
        row = await self._calls.row(request)
        if not row.ended:
            raise HTTPException(404, "The sound of a call is there when the call is over.")
        if row.state.recorded_from_ms is None:
            raise HTTPException(404, NONE_KEPT)
        return row

    async def _found(self, call: CallId) -> Recording:
        recording = await self._kept.recording(call)
        if recording is None:
            raise HTTPException(404, NONE_KEPT)
        return recording


def _file(request: Request, recording: Recording, headers: dict[str, str]) -> Response:
    caller, assistant = recording.caller, recording.assistant
    size = wav.size_of(caller, assistant)
    asked = request.headers.get("range", "")
    part = wav.sliced(asked, size)
    headers |= {"accept-ranges": "bytes", "cache-control": "no-store"}
    if part is None:
        return Response(status_code=416, headers=headers | {"content-range": f"bytes */{size}"})
    headers["content-length"] = str(part.end - part.begin)
    status = 200
    if part != wav.Slice(0, size):
        status = 206
        headers["content-range"] = f"bytes {part.begin}-{part.end - 1}/{size}"

    async def pieces() -> AsyncIterator[bytes]:
        for piece in wav.chunks(caller, assistant, part):
            yield piece

    return StreamingResponse(pieces(), status, headers, media_type="audio/wav")
