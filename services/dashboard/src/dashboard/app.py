"""The composition root of the dashboard: settings to a served desk, and its end."""

from pathlib import Path
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard import database
from dashboard.assistants.pages import AssistantPages
from dashboard.assistants.shelf import Shelf
from dashboard.database import DatabaseAway, DeadlineMissed
from dashboard.history import history
from dashboard.history.archive import LogOrArchive
from dashboard.html import STATIC, Html
from dashboard.live.board import Board
from dashboard.live.call_pages import CallPages
from dashboard.live.call_screen import CallScreen
from dashboard.live.feed import Feed
from dashboard.live.pages import LivePages
from dashboard.live.screen import Screen
from dashboard.origin import SafeHeaders, SameOrigin
from dashboard.people.account_pages import AccountPages
from dashboard.people.audit_pages import AuditPages
from dashboard.people.guard import Guard
from dashboard.people.login_pages import LoginPages
from dashboard.people.operator_pages import OperatorPages
from dashboard.people.reveal import RevealPages
from dashboard.people.staff import Staff, staffed
from dashboard.phone.lines import Lines
from dashboard.phone.pages import PhonePages
from dashboard.planner import feed as planner_feed
from dashboard.planner.pages import PlannerPages
from dashboard.planner.records import Records
from dashboard.settings import Settings
from dashboard.sse import Hub
from dashboard.static_files import Revalidated
from dashboard.steer import desk as steer
from dashboard.tools.box import Box
from dashboard.tools.pages import ToolPages
from runtime import logging
from runtime.admin import Health, serving
from runtime.bus import Bus, connect
from runtime.calllog import CallLog
from runtime.errors import NatsAway, ServiceError
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.tasks import Tasks

_log = logging.get("dashboard")
SHORTEST_TOKEN = 16


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Serve the desk until ``shutdown``. Raises ServiceError with one sentence when it cannot."""
    if 0 < len(settings.dashboard_token.reveal()) < SHORTEST_TOKEN:
        raise ServiceError(f"DASHBOARD_TOKEN is shorter than {SHORTEST_TOKEN} characters")
    html = Html(_zone(settings.display_time_zone))
    async with (
        database.opened(settings.database_url, size=settings.database_pool) as db,
        connect(settings, "dashboard", shutdown) as bus,
    ):
        await provision(bus, wait_s=settings.startup_wait_s, shutdown=shutdown)
        health.add("nats", lambda: bus.connected)
        hub, board = Hub(), Board()
        shelf, box = Shelf(Path(settings.assistants_dir), hub), Box(bus)
        screen = Screen(board, html)
        calls = CallScreen(html, screen)
        async with (
            staffed(settings, db, bus, hub) as staff,
            Tasks("dashboard") as tasks,
            history.remembering(
                db,
                bus,
                board,
                days=settings.history_days,
                zone=_zone(settings.display_time_zone),
            ),
        ):
            tasks.spawn(db.watch(), "database")
            tasks.spawn(Feed(bus, board, screen, calls, hub).run(), "feed")
            tasks.spawn(planner_feed.run(bus, hub, shutdown), "planner")
            tasks.spawn(shelf.watch(), "assistants")
            tasks.spawn(box.follow(), "tools")
            async with serving(
                desk(settings, bus, staff, board, screen, calls, html, hub, shelf, box),
                host=settings.dashboard_host,
                port=settings.dashboard_port,
                what="the desk",
                setting="DASHBOARD_PORT",
            ) as port:
                _log.info("desk ready", url=settings.dashboard_url, port=port)
                health.started()
                await shutdown.wait()
                hub.close()  # open update streams would hold up the server's end


def desk(
    settings: Settings,
    bus: Bus,
    staff: Staff,
    board: Board,
    screen: Screen,
    calls: CallScreen,
    html: Html,
    hub: Hub,
    shelf: Shelf,
    box: Box,
) -> Starlette:
    """The desk as an ASGI app."""

    def say(request: Request, code: int, sentence: str) -> Response:
        partial = request.headers.get("hx-request") == "true"
        template = "_problem.html" if partial else "error.html"
        away_since = screen.away_since
        return html.page(template, status=code, code=code, sentence=sentence, away_since=away_since)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException), "registered for HTTPException"
        response = say(request, error.status_code, error.detail)
        response.headers.update(error.headers or {})
        return response

    async def log_away(request: Request, _: Exception) -> Response:
        return say(
            request, 503, "The log of calls does not answer: NATS is away. Try again in a moment."
        )

    async def database_away(request: Request, error: Exception) -> Response:
        assert isinstance(error, DatabaseAway | DeadlineMissed), "registered for these"
        away_since = staff.db.away_since
        since = f" since {html.clock(away_since)}" if away_since else ""
        return say(
            request,
            503,
            f"This page needs PostgreSQL: {error.description}{since}. Live calls are shown "
            "without it. Start it, or check DATABASE_URL, and try again.",
        )

    async def failed(request: Request, _: Exception) -> Response:
        return say(request, 500, "The desk failed at this page; its log says where.")

    live = LivePages(board, screen, html, hub)
    call_pages = CallPages(board, screen, calls, html, hub, LogOrArchive(CallLog(bus), staff.db))
    records = Records(bus)
    planner = PlannerPages(records, screen, html, hub)
    assistants = AssistantPages(shelf, board, staff, screen, html, hub)
    tools = ToolPages(bus, box, shelf, board, records, staff, screen, html)
    return Starlette(
        routes=[
            *live.routes(),
            *call_pages.routes(),
            *planner.routes(),
            *assistants.routes(),
            *tools.routes(),
            *LoginPages(staff, screen, html).routes(),
            *AccountPages(staff, screen, html).routes(),
            *OperatorPages(staff, screen, html).routes(),
            *AuditPages(staff, screen, html).routes(),
            *RevealPages(staff, call_pages, screen, html).routes(),
            *steer.routes(staff, bus, call_pages, screen, html, hub),
            *history.routes(staff.db, bus, screen, html, _zone(settings.display_time_zone)),
            *PhonePages(staff, Lines(bus), board, screen, html).routes(),
            Mount("/static/sound", Revalidated(directory=STATIC / "sound")),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/favicon.ico", _favicon),
        ],
        middleware=[
            Middleware(SafeHeaders),
            Middleware(SameOrigin, url=settings.dashboard_url),
            Middleware(
                Guard,
                sessions=staff.sessions,
                cookie=staff.cookie,
                token=settings.dashboard_token,
                log=staff.trail,
                say=say,
            ),
        ],
        exception_handlers={
            HTTPException: refused,
            NatsAway: log_away,
            DatabaseAway: database_away,
            DeadlineMissed: database_away,
            Exception: failed,
        },
    )


async def _favicon(_: Request) -> Response:
    return Response(
        (STATIC / "icon.svg").read_bytes(),
        media_type="image/svg+xml",
        headers={"cache-control": "max-age=86400"},
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ServiceError(
            f"DISPLAY_TIME_ZONE is {name!r}, which is no time zone; "
            "set it to an IANA name like Europe/Berlin"
        ) from None
