"""The composition root of the dashboard: settings to a served desk, and its end."""

from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dashboard.html import STATIC, Html
from dashboard.live.board import Board
from dashboard.live.feed import Feed
from dashboard.live.pages import LivePages
from dashboard.live.screen import Screen
from dashboard.origin import SafeHeaders, SameOrigin
from dashboard.planner import feed as planner_feed
from dashboard.planner.pages import PlannerPages
from dashboard.planner.records import Records
from dashboard.settings import Settings
from dashboard.sse import Hub
from runtime import logging
from runtime.admin import Health, serving
from runtime.bus import Bus, connect
from runtime.calllog import CallLog
from runtime.errors import NatsAway, ServiceError
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.tasks import Tasks

_log = logging.get("dashboard")


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Serve the desk until ``shutdown``. Raises ServiceError with one sentence when it cannot."""
    html = Html(_zone(settings.display_time_zone))
    async with connect(settings, "dashboard", shutdown) as bus:
        await provision(bus, wait_s=settings.startup_wait_s, shutdown=shutdown)
        health.add("nats", lambda: bus.connected)
        hub, board = Hub(), Board()
        screen = Screen(board, html)
        async with Tasks("dashboard") as tasks:
            tasks.spawn(Feed(bus, board, screen, hub).run(), "feed")
            tasks.spawn(planner_feed.run(bus, hub, shutdown), "planner")
            async with serving(
                desk(settings, bus, board, screen, html, hub),
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
    settings: Settings, bus: Bus, board: Board, screen: Screen, html: Html, hub: Hub
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

    async def failed(request: Request, _: Exception) -> Response:
        return say(request, 500, "The desk failed at this page; its log says where.")

    live = LivePages(board, screen, html, hub, CallLog(bus))
    planner = PlannerPages(Records(bus), screen, html, hub)
    return Starlette(
        routes=[
            *live.routes(),
            *planner.routes(),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/favicon.ico", _favicon),
        ],
        middleware=[Middleware(SafeHeaders), Middleware(SameOrigin, url=settings.dashboard_url)],
        exception_handlers={HTTPException: refused, NatsAway: log_away, Exception: failed},
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
