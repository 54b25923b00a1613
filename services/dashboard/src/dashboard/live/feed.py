"""Keeps the board up to date from NATS and tells the browsers what changed.

One task follows the log, one renders at most five times a second (so a busy call costs no more
than a quiet one), one watches the connection. Nothing here writes to the log.
"""

import asyncio
from datetime import timedelta
from typing import Protocol

from dashboard import metrics
from dashboard.live.board import Board, Changes
from dashboard.live.call_screen import CallScreen, call_topic
from dashboard.live.screen import BOARD, Screen
from dashboard.sse import Hub
from protocol import codec, subjects
from protocol.line import LiveTranscript
from protocol.placement import AgentLoad
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.tasks import Tasks

WINDOW = timedelta(hours=24)
TICK_S = 0.2
WATCH_S = 0.5
FIGURES_TICKS = 5
"""Updates of rows to one of the totals: a second between two, however much is said."""
_CHUNK = 500
"""Entries folded between two turns of the loop: a day's log must not hold up the pages."""


class Words(Protocol):
    """The part of a NATS message that is read here."""

    subject: str
    data: bytes


class Feed:
    """NATS to board to browsers."""

    def __init__(self, bus: Bus, board: Board, screen: Screen, calls: CallScreen, hub: Hub) -> None:
        self._bus = bus
        self._board = board
        self._screen = screen
        self._calls = calls
        self._hub = hub
        self._more = asyncio.Event()
        self._ticks = 0
        self._figures_at = 0
        self._stale = False

    async def run(self) -> None:
        """Feed for ever; cancel it to stop."""
        partial = await self._bus.subscribe(subjects.ALL_LIVE_TRANSCRIPTS, self._heard)
        loads = await self._bus.subscribe(subjects.AGENTS_LOAD, self._loaded)
        try:
            async with Tasks("feed") as tasks:
                tasks.spawn(self._tell(), "tell")
                tasks.spawn(self._watch(), "watch")
                await self._follow()
        finally:
            await partial.stop()
            await loads.stop()

    async def _follow(self) -> None:
        async for entries in CallLog(self._bus).follow(utc_now() - WINDOW):
            for i, entry in enumerate(entries, 1):
                self._board.apply(entry.sequence, entry.event)
                if i % _CHUNK == 0:
                    await asyncio.sleep(0)
            self._more.set()

    async def _heard(self, message: Words) -> None:
        call, _, _ = subjects.parse_call(message.subject)
        if self._board.hear(call, codec.decode(LiveTranscript, message.data)):
            self._more.set()

    async def _loaded(self, message: Words) -> None:
        load = codec.decode(AgentLoad, message.data)
        if self._board.fleet.heard(load, utc_now()):
            self._publish_workers()

    async def _tell(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            self._ticks += 1
            self._publish(self._board.take_changes())
            await asyncio.sleep(TICK_S)

    def _publish(self, changes: Changes) -> None:
        if changes.listing:
            self._count()
        if self._hub.listened(BOARD):
            self._publish_board(changes)
        for call in changes.calls:
            row = self._board.get(call)
            if row is not None and self._hub.listened(call_topic(call)):
                message = self._calls.changes(row, phase=call in changes.phases)
                if message is not None:
                    self._hub.publish(call_topic(call), message)

    def _publish_board(self, changes: Changes) -> None:
        self._stale |= bool(changes)
        figures = self._stale and self._ticks - self._figures_at >= FIGURES_TICKS
        if figures:
            self._figures_at, self._stale = self._ticks, False
        message = self._screen.board_changes(changes, figures=figures)
        if message is not None:
            self._hub.publish(BOARD, message)
        if self._screen.due or self._stale:
            self._more.set()

    def _publish_workers(self) -> None:
        if self._hub.listened(BOARD) and (message := self._screen.workers()) is not None:
            self._hub.publish(BOARD, message)

    def _count(self) -> None:
        phases = [row.state.phase for row in self._board.rows()]
        for phase in ("ringing", "active", "ended"):
            metrics.calls_shown.labels(phase).set(phases.count(phase))

    async def _watch(self) -> None:
        while True:
            if self._bus.connected == (self._screen.away_since is not None):
                self._screen.away_since = None if self._bus.connected else utc_now()
                self._hub.publish_all(self._screen.notice())
            if self._bus.connected and self._board.fleet.watch(utc_now()):
                self._publish_workers()
            await asyncio.sleep(WATCH_S)
