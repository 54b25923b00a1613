"""The history's part of the desk: its tasks, while the block runs, and its pages."""

import contextlib
from collections.abc import AsyncGenerator
from zoneinfo import ZoneInfo

from starlette.routing import BaseRoute

from dashboard.database import Database
from dashboard.history import day_figures
from dashboard.history.forget import Forgetter
from dashboard.history.forget_pages import ForgetPages
from dashboard.history.intake import Intake
from dashboard.history.pages import HistoryPages
from dashboard.history.projection import Projection
from dashboard.history.retention import retention
from dashboard.history.vigil import vigil
from dashboard.html import Html
from dashboard.live.board import Board
from dashboard.live.screen import Screen
from runtime.bus import Bus
from runtime.tasks import Tasks


@contextlib.asynccontextmanager
async def remembering(
    db: Database, bus: Bus, board: Board, *, days: int, zone: ZoneInfo
) -> AsyncGenerator[None]:
    """Keep the history while the block runs."""
    projection = Projection(db)
    async with Tasks("history") as tasks:
        tasks.spawn(Intake(db, bus).run(projection.came), "intake")
        tasks.spawn(projection.run(), "projection")
        tasks.spawn(retention(db, bus, days), "retention")
        tasks.spawn(vigil(db, board), "vigil")
        tasks.spawn(day_figures.keep(db, zone), "figures")
        yield


def routes(db: Database, bus: Bus, screen: Screen, html: Html, zone: ZoneInfo) -> list[BaseRoute]:
    """The addresses of the history."""
    return [
        *HistoryPages(db, screen, html, zone).routes(),
        *ForgetPages(db, Forgetter(db, bus), screen, html).routes(),
    ]
