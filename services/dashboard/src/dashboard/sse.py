"""Server-sent events: a hub with one bounded queue a browser, and the response that drains it.

Pages name topics and give the first messages; the feeds publish. A browser that reads too slowly
is cut off and counted. Nothing is kept for it: it connects again and the first messages hold the
whole state, so Last-Event-ID has no meaning here.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Generator, Iterable

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from dashboard import metrics
from runtime.tasks import Tasks

QUEUE = 64
"""Messages that a browser may be behind: at five a second, well over ten seconds."""
RETRY_MS = 1000
IDLE_S = 15.0
"""A comment is sent after this silence, so that proxies keep the connection and a dead one is
noticed.
"""
_LAST_WORD_S = 1.0


class Message(Struct, frozen=True):
    """One server-sent event; ``data`` may have many lines."""

    event: str
    data: str = ""

    def encode(self) -> bytes:
        lines = "".join(f"data: {line}\n" for line in self.data.split("\n"))
        return f"event: {self.event}\n{lines}\n".encode()


class Browser:
    """One open connection: a bounded queue, and its end."""

    def __init__(self, topics: frozenset[str], bound: int, session: str = "") -> None:
        self.topics = topics
        self.session = session
        self._bound = bound
        self._queue: deque[Message] = deque()
        self._more = asyncio.Event()
        self._on_end: Callable[[], None] | None = None
        self.ended = False
        self.cut_off = False

    def put(self, message: Message) -> None:
        """Queue ``message``; a browser with a full queue is cut off instead."""
        if self.ended:
            return
        if len(self._queue) >= self._bound:
            self.cut_off = True
            self.end()
            return
        self._queue.append(message)
        self._more.set()

    def end(self) -> None:
        """Nothing more goes to this browser; what it has not read is dropped."""
        if self.ended:
            return
        self.ended = True
        self._queue.clear()
        self._more.set()
        if self._on_end is not None:
            self._on_end()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` at the end; at once when that was before."""
        self._on_end = callback
        if self.ended:
            callback()

    def take(self) -> Message | None:
        """The next message, or None when there is none."""
        return self._queue.popleft() if self._queue else None

    async def next(self) -> Message | None:
        """The next message; None at the end."""
        while not self._queue and not self.ended:
            self._more.clear()
            await self._more.wait()
        return self.take()


class Hub:
    """Who listens to what."""

    def __init__(self, *, bound: int = QUEUE) -> None:
        self._bound = bound
        self._browsers: set[Browser] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._browsers)

    def listened(self, topic: str) -> bool:
        """Does anybody listen? Ask before rendering."""
        return any(topic in browser.topics for browser in self._browsers)

    def publish(self, topic: str, message: Message) -> None:
        """Hand ``message`` to everybody who listens to ``topic``; never waits."""
        for browser in tuple(self._browsers):
            if topic in browser.topics:
                self._put(browser, message)

    def publish_all(self, message: Message) -> None:
        """Hand ``message`` to every browser."""
        for browser in tuple(self._browsers):
            self._put(browser, message)

    def _put(self, browser: Browser, message: Message) -> None:
        browser.put(message)
        if browser.cut_off:
            metrics.browsers_cut_off.inc()
            self._browsers.discard(browser)

    def sessions(self) -> set[str]:
        """The log-ins behind the open connections."""
        return {browser.session for browser in self._browsers if browser.session}

    def end_session(self, session: str) -> None:
        """End the connections of one log-in, which does not count any more."""
        for browser in tuple(self._browsers):
            if browser.session == session:
                browser.end()

    def close(self) -> None:
        """End all connections, and each new one at once: the process is about to stop."""
        self._closed = True
        for browser in tuple(self._browsers):
            browser.end()

    @contextlib.contextmanager
    def listening(self, topics: Iterable[str], session: str = "") -> Generator[Browser]:
        """A browser that gets what is published on ``topics`` during the block; ``session`` names
        its log-in, with which it ends.
        """
        browser = Browser(frozenset(topics), self._bound, session)
        self._browsers.add(browser)
        metrics.browsers.inc()
        if self._closed:
            browser.end()
        try:
            yield browser
        finally:
            browser.end()
            self._browsers.discard(browser)
            metrics.browsers.dec()


class EventStream:
    """The ASGI response of an SSE address. ``first`` gives the messages that hold the state; it is
    asked once the browser listens, so no change falls between.
    """

    def __init__(self, hub: Hub, topics: Iterable[str], first: Callable[[], list[Message]]) -> None:
        self._hub = hub
        self._topics = tuple(topics)
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        session: str = scope.get("state", {}).get("session", "")
        with self._hub.listening(self._topics, session) as browser:
            async with Tasks("sse") as tasks:
                tasks.spawn(_until_gone(receive, browser), "gone")
                await send(
                    {
                        "type": "http.response.start",
                        "status": 200,
                        "headers": [
                            (b"content-type", b"text/event-stream; charset=utf-8"),
                            (b"cache-control", b"no-store"),
                            (b"x-accel-buffering", b"no"),
                        ],
                    }
                )
                await self._drain(browser, send)
                # A browser that reads nothing would block this too; the server then drops it.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LAST_WORD_S):
                        await send({"type": "http.response.body", "body": b""})

    async def _drain(self, browser: Browser, send: Send) -> None:
        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        loop = asyncio.get_running_loop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None) as limit:
                # A write to a browser that does not read waits for ever: the end breaks it off.
                browser.on_end(lambda: limit.reschedule(loop.time()))
                await write(f"retry: {RETRY_MS}\n\n".encode())
                for message in self._first():
                    await write(message.encode())
                while not browser.ended:
                    message = None
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_S):
                            message = await browser.next()
                    await write(b": still here\n\n" if message is None else message.encode())


async def _until_gone(receive: Receive, browser: Browser) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    browser.end()
