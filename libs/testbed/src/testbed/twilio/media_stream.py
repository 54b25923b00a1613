"""Twilio's end of one media socket: opens it, signs it, streams the caller, plays out the answer.

Run by a call's program, fed with caller frames by the leg's tick. Never decides what the call does
when the stream is over, and never reconnects, as Twilio does not.
"""

import asyncio
import base64
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import broadcast
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from testbed.twilio.ear import Ear
from testbed.twilio.faults import Faults, Timing
from testbed.twilio.mouth import SILENT_FRAME
from testbed.twilio.playout import Echo, Playout, Warn
from testbed.twilio.signature import sign_get
from testbed.twilio.wire import CONNECTED, StreamMessages

CONGESTED_BYTES = 64 * 1024  # unsent bytes in our socket from which caller audio is thrown away
_SILENT_PAYLOAD = base64.b64encode(SILENT_FRAME).decode()

EndKind = Literal["server_closed", "lost", "refused", "stopped"]


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """Why a stream is over; `code` is Twilio's error code, 0 for an end Twilio wanted."""

    kind: EndKind
    code: int
    reason: str


class MediaStream:
    """One bidirectional stream. Times are milliseconds of the call clock."""

    def __init__(
        self,
        *,
        url: str,
        connect_url: str,
        auth_token: str,
        messages: StreamMessages,
        stream_sid: str,
        parameters: Mapping[str, str],
        ear: Ear,
        faults: Faults,
        timing: Timing,
        now_ms: Callable[[], float],
        note: Callable[[str, str], None],
    ) -> None:
        """`url` is signed, `connect_url` is where it leads on this machine."""
        self.url = url
        self.stream_sid = stream_sid
        self.parameters = dict(parameters)
        self.messages = messages
        self.playout = Playout(stream_sid, ear, now_ms())
        self.started_ms: float | None = None
        """When `start` was sent; media.timestamp counts from here."""
        self.end: StreamEnd | None = None
        self.frames_sent = 0
        """Caller frames handed to the socket, doubles not counted."""
        self.frames_dropped = 0
        """Caller frames thrown away because the server reads too slowly (31930)."""
        self.echoed: list[tuple[float, str]] = []
        """Every mark echoed: time and name."""
        self._connect_url = connect_url
        self._auth_token = auth_token
        self._faults = faults
        self._timing = timing
        self._now_ms = now_ms
        self._note = note
        self._socket: ClientConnection | None = None
        self._stopping = False
        self._thawed = asyncio.Event()
        self._thawed.set()

    @property
    def connected(self) -> bool:
        """The upgrade succeeded and the stream is not over."""
        return self._socket is not None and self.end is None

    @property
    def started(self) -> bool:
        """`start` was sent and the stream is not over."""
        return self.connected and self.started_ms is not None

    async def run(self, on_start: Callable[[], None]) -> StreamEnd:
        """Open the socket and serve it until it is over. Cancelling cuts the TCP connection."""
        try:
            self.end = await self._open() or await self._serve(on_start)
        finally:
            if self._socket is not None:
                self._socket.transport.abort()
                await self._socket.wait_closed()
            if not self._stopping:
                self.playout.close(self._now_ms())
            self.end = self.end or StreamEnd("stopped", 0, "cancelled")
        return self.end

    def advance(self, now_ms: float) -> None:
        """Play what is due and echo the marks that were reached."""
        if self._thawed.is_set() and not self._stopping:
            self._perform(self.playout.advance(now_ms))

    def send_frame(self, frame: bytes, captured_ms: float) -> None:
        """Send 160 bytes of the caller that began at `captured_ms` of the call clock."""
        if self.started_ms is None or captured_ms < self.started_ms or self._stopping:
            return
        if not self._thawed.is_set() or self._socket is None:
            return
        if self._socket.transport.get_write_buffer_size() > CONGESTED_BYTES:
            if not self.frames_dropped:
                self._note("warning", "31930: server reads too slowly, caller audio thrown away")
            self.frames_dropped += 1
            return
        silent = frame is SILENT_FRAME
        payload = _SILENT_PAYLOAD if silent else base64.b64encode(frame).decode()
        message = self.messages.media(payload, round(captured_ms - self.started_ms))
        self.frames_sent += 1
        for _ in range(2 if self._faults.double_frames else 1):
            self.send_raw(message)

    def send_key(self, digit: str) -> None:
        """One key of the caller; only on a started stream."""
        self.send_raw(self.messages.dtmf(digit))

    def send_raw(self, frame: str | bytes) -> None:
        """Send any text or binary frame: malformed, oversize, a second `start`, ..."""
        if self._socket is not None:
            broadcast([self._socket], frame)

    async def stop(self) -> None:
        """End it as Twilio does: nothing is heard or echoed any more, `stop`, bounded close."""
        self._stopping = True
        self.playout.close(self._now_ms())
        if self._socket is not None and self.end is None:
            self.thaw()
            if self.started_ms is not None:
                self.send_raw(self.messages.stop())
            await self._socket.close()

    def vanish(self) -> None:
        """Cut the TCP connection without `stop` or close frame."""
        if self._socket is not None:
            self._socket.transport.abort()

    def freeze(self) -> None:
        """Keep the connection, but neither send nor read, not even pings, until `thaw`."""
        self._thawed.clear()
        if self._socket is not None:
            self._socket.transport.pause_reading()

    def thaw(self) -> None:
        """Go on after `freeze`; frames of the frozen time are lost."""
        self._thawed.set()
        if self._socket is not None:
            self._socket.transport.resume_reading()

    async def _open(self) -> StreamEnd | None:
        signed = urlsplit(self.url)
        there = urlsplit(self._connect_url)
        # The Host header stays the public one; only the TCP connection goes to the local address.
        uri = there._replace(netloc=signed.netloc).geturl()
        secure = there.scheme == "wss"
        try:
            async with asyncio.timeout(self._timing.connect_ms / 1000):
                self._socket = await connect(
                    uri,
                    host=there.hostname,
                    port=there.port or (443 if secure else 80),
                    additional_headers={"x-twilio-signature": sign_get(self.url, self._auth_token)},
                    user_agent_header="Twilio.TmeWs/1.0",
                    compression=None,
                    proxy=None,
                    open_timeout=None,
                    ping_interval=None,
                    close_timeout=self._timing.close_ms / 1000,
                    max_size=None,
                )
        except TimeoutError:
            return StreamEnd("refused", 31901, "connection timed out")
        except InvalidURI as error:
            return StreamEnd("refused", 31923, str(error))
        except InvalidHandshake as error:
            return StreamEnd("refused", 31920, str(error))
        except ssl.SSLError as error:
            return StreamEnd("refused", 31910, str(error))
        except (OSError, EOFError) as error:
            return StreamEnd("refused", 31902, str(error))
        return None

    async def _serve(self, on_start: Callable[[], None]) -> StreamEnd:
        socket = self._socket
        assert socket is not None, "serve follows a successful open"
        self.send_raw(CONNECTED)
        start = asyncio.get_running_loop().call_later(
            self._faults.start_delay_ms / 1000, self._start, on_start
        )
        try:
            while True:
                message = await socket.recv()
                await self._thawed.wait()
                if not self._stopping:
                    self._perform(self.playout.receive(message, self._now_ms()))
        except ConnectionClosed as closed:
            return self._ending(closed)
        finally:
            start.cancel()

    def _start(self, on_start: Callable[[], None]) -> None:
        self.send_raw(self.messages.start())
        self.started_ms = self._now_ms()
        on_start()

    def _ending(self, closed: ConnectionClosed) -> StreamEnd:
        if self._stopping:
            return StreamEnd("stopped", 0, "ended by Twilio")
        if closed.sent is not None and not closed.rcvd_then_sent:
            return StreamEnd("lost", 31924, f"protocol error: {closed.sent.reason}")
        if closed.rcvd is not None:
            return StreamEnd("server_closed", 31921, f"closed with {closed.rcvd.code}")
        return StreamEnd("lost", 31903, "connection broke without a close frame")

    def _perform(self, effects: list[Echo | Warn]) -> None:
        for effect in effects:
            match effect:
                case Echo(name):
                    self.echoed.append((self._now_ms(), name))
                    self.send_raw(self.messages.mark(name))
                case Warn(code, reason):
                    self._note("warning", f"{code}: {reason}")
