"""One websocket of the simulated Realtime server: pumps frames and hosts a session.

Owns every task of its session: when the socket ends, nothing of it is left. Keeps what went
through for tests. Decides nothing about the protocol.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from testbed.realtime.errors import ApiError
from testbed.realtime.schema import JsonObject, as_object
from testbed.realtime.session import Session

OUTBOX_LIMIT = 20_000
"""Events waiting for a client that does not read; beyond it the connection is cut."""


@dataclass(frozen=True, slots=True)
class _Close:
    code: int | None
    reason: str


class Connection:
    """A client's socket and its session; `received` and `sent` hold events if recording is on."""

    def __init__(self, websocket: ServerConnection, *, record: bool) -> None:
        self.headers: Mapping[str, str] = dict(_request_headers(websocket))
        self.received: list[JsonObject] = []
        """Client events in order, input_audio_buffer.append left out."""
        self.sent: list[JsonObject] = []
        """Server events in order of emission."""
        self.session: Session | None = None
        self._websocket = websocket
        self._record = record
        self._outbox: asyncio.Queue[str | _Close] = asyncio.Queue(OUTBOX_LIMIT)
        self._closing = False
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._tasks: asyncio.TaskGroup | None = None
        self._spawned: set[asyncio.Task[None]] = set()

    @property
    def close_code(self) -> int | None:
        """How the socket ended: the code of the close frame, 1006 without one; None while open."""
        return self._websocket.close_code

    async def run(self, session: Session, lifetime_s: float) -> None:
        """Serve until the socket closes; raises what a mind raised."""
        self.session = session
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self.spawn(self._write())
                self.spawn(self._expire_after(lifetime_s))
                session.open()
                await self._read(session)
                self._closing = True
                for task in self._spawned:
                    task.cancel()
        finally:
            self._closing = True
            session.close()

    # -- Host of the session

    def emit(self, event: Mapping[str, Any]) -> None:
        """Queue a server event; cuts a client that lets too many pile up."""
        if self._closing:
            return
        message = json.dumps(event)
        if self._record:
            self.sent.append(json.loads(message))
        self._put(message)

    def drop(self, code: int | None, reason: str = "") -> None:
        """Close after what is queued; None cuts the TCP connection without a close frame."""
        if not self._closing:
            self._put(_Close(code, reason))
            self._closing = True

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work that ends with the connection."""
        assert self._tasks is not None, "the connection is not running"
        task = self._tasks.create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    # -- faults, for tests

    def stall(self) -> None:
        """Stop answering: the socket stays open and is read, nothing is sent."""
        self._flowing.clear()

    def resume(self) -> None:
        """End a stall; what piled up is sent."""
        self._flowing.set()

    def expire(self) -> None:
        """End the session now as at the end of its life time."""
        if self.session is not None:
            self.session.expire()

    # -- pumps

    async def _read(self, session: Session) -> None:
        try:
            async for message in self._websocket:
                if self._record:
                    self._keep(message)
                session.receive(message)
        except ConnectionClosed:
            return

    async def _write(self) -> None:
        try:
            while True:
                entry = await self._outbox.get()
                await self._flowing.wait()
                if isinstance(entry, str):
                    await self._websocket.send(entry)
                elif entry.code is None:
                    self._websocket.transport.abort()
                    return
                else:
                    await self._websocket.close(entry.code, entry.reason)
                    return
        except ConnectionClosed:
            return

    async def _expire_after(self, lifetime_s: float) -> None:
        await asyncio.sleep(lifetime_s)
        self.expire()

    def _put(self, entry: str | _Close) -> None:
        try:
            self._outbox.put_nowait(entry)
        except asyncio.QueueFull:
            self._closing = True
            self._websocket.transport.abort()

    def _keep(self, message: str | bytes) -> None:
        try:
            event = as_object(json.loads(message), "event")
        except (ValueError, ApiError):
            return  # not an event; the session answers it with an error
        if "audio" not in event:
            self.received.append(event)


def _request_headers(websocket: ServerConnection) -> Mapping[str, str]:
    request = websocket.request
    return {} if request is None else dict(request.headers.raw_items())
