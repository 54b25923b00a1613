"""OpenAI's `POST /v1/audio/speech`, simulated: streams a tone as PCM, with faults on request.

    async with SpeechServer() as server:
        client = AsyncOpenAI(base_url=server.base_url, api_key="any")

Served by tests. Built to the speech reference: `response_format` pcm only (24 kHz, mono, signed
16-bit little-endian, no header), parameters and models that the API does not know are refused.
"""

from __future__ import annotations

import asyncio
import math
import socket
from array import array
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

RATE = 24_000
TONE_HZ = 1_000
AMPLITUDE = 8_000
MS_PER_CHARACTER = 50
MAX_CHARACTERS = 4_096
MODELS = frozenset({"gpt-4o-mini-tts", "tts-1", "tts-1-hd"})
VOICES = frozenset(
    {"alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer"}
    | {"verse", "marin", "cedar"}
)
_PARAMETERS = frozenset(
    {"input", "model", "voice", "instructions", "response_format", "speed", "stream_format"}
)
_BYTES_PER_MS = RATE * 2 // 1_000
_CHUNK_BYTES = 2_047  # odd: a chunk may end in the middle of a sample


@dataclass(slots=True)
class Faults:
    """Switches for every request from now on."""

    status: int | None = None
    """Answer with this HTTP status (401, 429, 500, ...)."""
    code: str | None = None
    """The error's code beside `status`: `insufficient_quota`, `rate_limit_exceeded`, ..."""
    hold_after_ms: int | None = None
    """After so much audio the rest waits until `release` is set; 0: all of it."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    break_after_ms: int | None = None
    """The connection is cut after so much audio."""


def duration_ms(text: str) -> int:
    """How long `text` is spoken."""
    return len(text) * MS_PER_CHARACTER


def pcm(text: str) -> bytes:
    """What is said for `text`: a tone of 1 kHz."""
    count = duration_ms(text) * RATE // 1_000
    step = 2 * math.pi * TONE_HZ / RATE
    samples = array("h", (round(AMPLITUDE * math.sin(step * n)) for n in range(count)))
    return samples.tobytes()  # all machines that tests run on are little-endian


class SpeechServer:
    """Async context manager; a server on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.requests: list[dict[str, Any]] = []
        """Bodies of all requests so far."""
        self.base_url = ""
        """For AsyncOpenAI(base_url=...)."""
        app = Starlette(routes=[Route("/v1/audio/speech", self._speak, methods=["POST"])])
        self._server = _QuietServer(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,  # seconds
            )
        )
        self._listening: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    async def __aenter__(self) -> SpeechServer:
        """Listen."""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/v1"
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._listening]))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop, and wait until requests have ended."""
        assert self._serving is not None, "the server was not started"
        assert self._listening is not None, "the server was not started"
        self.faults.release.set()
        self._server.should_exit = True
        await self._serving
        self._listening.close()

    async def _speak(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        if self.faults.status is not None:
            return _refused(self.faults.status, self.faults.code, "Refused on request.")
        if not request.headers.get("Authorization", "").removeprefix("Bearer "):
            return _refused(401, "invalid_api_key", "You didn't provide an API key.")
        if (problem := _problem(body)) is not None:
            return _refused(400, "invalid_value", problem)
        if body["model"] not in MODELS:
            return _refused(404, "model_not_found", "The model does not exist.")
        return StreamingResponse(self._chunks(pcm(body["input"])), media_type="audio/pcm")

    async def _chunks(self, audio: bytes) -> AsyncIterator[bytes]:
        faults, end = self.faults, len(audio)
        if faults.break_after_ms is not None:
            end = min(end, faults.break_after_ms * _BYTES_PER_MS)
        for at in range(0, end, _CHUNK_BYTES):
            if faults.hold_after_ms is not None and at >= faults.hold_after_ms * _BYTES_PER_MS:
                await faults.release.wait()
            yield audio[at : min(at + _CHUNK_BYTES, end)]
        if end < len(audio):
            raise ConnectionAbortedError("cut on request")


class _QuietServer(uvicorn.Server):
    """Leaves the process's signals to whoever runs the simulation."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _problem(body: dict[str, Any]) -> str | None:
    if unknown := body.keys() - _PARAMETERS:
        return f"Unknown parameter: {sorted(unknown)[0]}."
    text = body.get("input")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_CHARACTERS:
        return f"input has 1 to {MAX_CHARACTERS} characters."
    if body.get("voice") not in VOICES:
        return "No such voice."
    if body.get("response_format") != "pcm":
        return "This simulation speaks response_format 'pcm' only."
    return None


def _refused(status: int, code: str | None, message: str) -> Response:
    kinds = {401: "invalid_request_error", 429: "requests", 500: "server_error"}
    error = {"message": message, "type": kinds.get(status, "invalid_request_error")}
    return JSONResponse({"error": {**error, "code": code, "param": None}}, status_code=status)
