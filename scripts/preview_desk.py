"""Serve the desk's call pages with made-up calls, without NATS, Postgres or a login.

    python scripts/preview_desk.py [port] [calls]

For looking at pages while changing their templates and styles; the calls go on by themselves.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/integration"))

import desk_calls as calls

from dashboard.html import STATIC, Html
from dashboard.live.board import Board
from dashboard.live.call_pages import CallPages
from dashboard.live.call_screen import CallScreen, call_topic
from dashboard.live.pages import LivePages
from dashboard.live.screen import BOARD, Screen
from dashboard.origin import SafeHeaders
from dashboard.sse import Hub
from protocol.ids import CallId, WorkerId
from protocol.placement import AgentLoad
from runtime.calllog import Entry
from runtime.clock import utc_now

STEP = 10_000
WHOLE = 999


class Log:
    """Calls as lists of entries."""

    def __init__(self) -> None:
        self.calls: dict[CallId, calls.Writer] = {}

    async def read(self, call: CallId) -> list[Entry]:
        writer = self.calls.get(call)
        return [Entry(*entry) for entry in writer.entries] if writer else []


def fill(board: Board, log: Log, count: int) -> None:
    """A day of calls: ``count`` that go on, some that ended, and one with everything."""
    now = utc_now()
    writers = [calls.fresh_call(n, now, n * STEP) for n in range(1, count + 1)]
    for n in range(60):
        began = now - timedelta(minutes=3 + n * 23)
        writer = calls.fresh_call(300 + n * 7, began + timedelta(seconds=90), -STEP * (n + 1))
        if writer.epoch:
            writer.ends(100_000, "lost" if n % 11 == 3 else "caller_hung_up")
        else:
            writer.add(9000, calls.e.CallEnded, reason="no_answer")
        writers.append(writer)
    writers.append(calls.whole_call(WHOLE, now - timedelta(seconds=45), (count + 2) * STEP))
    for writer in writers:
        log.calls[calls.call_id(writer.n)] = writer
        for sequence, event in writer.entries:
            board.apply(sequence, event)
    for n, (free, draining) in enumerate([(3, False), (2, False), (0, True), (0, False)], 1):
        load = AgentLoad(WorkerId(f"agent-{n}"), free, draining, "1.4.0")
        board.fleet.heard(load, now - timedelta(seconds=60 if n == 4 else 0))
    board.fleet.heard(AgentLoad(WorkerId("agent-5"), 8, False, "1.4.1"), now)
    board.fleet.watch(now)


async def go_on(board: Board, log: Log, screen: Screen, sheet: CallScreen, hub: Hub) -> None:
    """A few calls a second say something."""
    tick = 0
    while True:
        await asyncio.sleep(0.5)
        tick += 1
        going = [row for row in board.rows() if not row.ended and row.score.legs]
        for row in going[tick % 5 :: 5]:
            writer = log.calls[row.call_id]
            ms, before = row.score.at(utc_now()), len(writer.entries)
            if tick % 3:
                writer.says(ms - 2500, f"x{tick}", calls.WORDS[tick % 5], 2400)
            else:
                writer.asks(ms - 2000, f"y{tick}", calls.WORDS[(tick + 1) % 5], 1800)
            for sequence, event in writer.entries[before:]:
                board.apply(sequence, event)
        changes = board.take_changes()
        message = screen.board_changes(changes, figures=tick % 2 == 0)
        if message is not None:
            hub.publish(BOARD, message)
        for call in changes.calls:
            row = board.get(call)
            if row is not None and hub.listened(call_topic(call)):
                message = sheet.changes(row, phase=False)
                if message is not None:
                    hub.publish(call_topic(call), message)


def app(count: int) -> Starlette:
    """The call pages as an ASGI app."""
    html, board, hub, log = Html(ZoneInfo("UTC"), reload=True), Board(), Hub(), Log()
    screen = Screen(board, html)
    sheet = CallScreen(html, screen)
    fill(board, log, count)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(go_on(board, log, screen, sheet, hub))
            yield
            task.cancel()

    return Starlette(
        routes=[
            *LivePages(board, screen, html, hub).routes(),
            *CallPages(board, screen, sheet, html, hub, log).routes(),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(SafeHeaders)],
        lifespan=lifespan,
    )


if __name__ == "__main__":
    port, count = (*map(int, sys.argv[1:]), *(8070, 24)[len(sys.argv) - 1 :])
    uvicorn.run(app(count), host="127.0.0.1", port=port, log_level="warning")
