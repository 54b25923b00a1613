"""Composition root of webhooks: Twilio's HTTP side over the log, and the NATS service ``calls``."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from runtime import bus, logging, micro
from runtime.admin import Health, serving
from runtime.bus import Bus
from runtime.errors import NatsAway, ServiceError
from runtime.names import process_name
from runtime.provision import provision, provision_recordings
from runtime.service import Shutdown
from runtime.tasks import Tasks
from webhooks import answers, calls, paths, stream_status, twilio_rest, twiml
from webhooks.amd import MachineAnswer
from webhooks.browser_calls import BrowserCalls
from webhooks.browser_legs import BrowserLegs
from webhooks.calls import Calls
from webhooks.humans import Humans
from webhooks.profiles import Profiles
from webhooks.reconnect import Reconnect
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.signature import Fallback, Gate, Handler
from webhooks.status import Status
from webhooks.stream_ended import StreamEnded
from webhooks.stream_token import Offers
from webhooks.voice import Voice
from webhooks.watchdog import Watchdog
from webhooks.wishes import BUCKET, Wishes

_log = logging.get("webhooks")

LAST_ACTS_S = 3.0
"""How long a stopping process goes on with what it began for lost legs."""


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Serve Twilio's requests until asked to stop. Raises ServiceError.

    Ready means that requests are answered. A NATS that goes away later does not change that: out
    of rotation nobody would speak the apology that callers get then.
    """
    worker = process_name("webhooks")
    async with bus.connect(settings, f"webhooks/{worker}", shutdown) as nats:
        await provision(nats, wait_s=settings.startup_wait_s, shutdown=shutdown)
        async with (
            opened(settings, nats, worker, watching=True) as app,
            serving(
                app,
                host=settings.webhooks_host,
                port=settings.webhooks_port,
                what="webhooks",
                setting="WEBHOOKS_PORT",
            ) as port,
        ):
            _log.info("serving", port=port, public_url=settings.public_base)
            # After everything that calls need: what room JetStream has is theirs first.
            await provision_recordings(
                nats, days=settings.recordings_days, max_bytes=settings.recordings_bytes
            )
            health.started()
            await shutdown.wait()


@contextlib.asynccontextmanager
async def opened(
    settings: Settings, nats: Bus, worker: str, *, watching: bool = False
) -> AsyncGenerator[Starlette]:
    """The HTTP app, with the service ``calls`` answering beside it while the block runs.

    ``watching``: lost legs are looked after, too. The log must be provisioned. Raises ServiceError
    when JetStream does not take the bucket.
    """
    record, wishes = Record(nats, worker), Wishes(nats)
    try:
        await wishes.provision()
    except NatsAway as error:
        raise ServiceError(f"JetStream did not take the bucket {BUCKET}: {error}") from error
    profiles = Profiles(Path(settings.assistants_dir))
    humans = Humans(settings, profiles, record, wishes)
    humans.warn()
    offers = Offers(settings)
    async with twilio_rest.opened(settings) as rest:
        reconnect, legs = Reconnect(record, rest, offers), BrowserLegs(nats, record)
        browsers = BrowserCalls(settings, profiles, record, offers, humans)
        desk = Calls(settings, record, rest, wishes, humans, reconnect, browsers, legs)
        watchdog = Watchdog(nats, record, rest, humans, desk, reconnect, legs)
        async with (
            micro.serving(
                nats, name="calls", description=calls.DESCRIPTION, endpoints=desk.endpoints()
            ),
            Tasks("lost legs") as caring,
        ):
            async with Tasks("webhooks") as tasks:
                if watching:
                    tasks.spawn(watchdog.run(caring), "watchdog")
                yield _app(settings, record, wishes, humans, desk, offers)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_ACTS_S):
                    await caring.finish()


def _app(
    settings: Settings,
    record: Record,
    wishes: Wishes,
    humans: Humans,
    desk: Calls,
    offers: Offers,
) -> Starlette:
    """The HTTP app: signed POST endpoints, and one document that says the same to everybody."""
    gate = Gate(settings.public_base, settings.twilio_auth_token, settings.twilio_account_sid)

    def signed(path: str, handler: Handler, failed: Fallback, parameter: str = "") -> Route:
        name = path.removeprefix("/twilio/")
        if parameter:
            path = f"{path}/{{{parameter}}}"
        return Route(path, gate.endpoint(name, handler, failed), methods=["POST"])

    def apology() -> Response:
        return answers.document(twiml.apologise("unavailable"))

    async def sorry(_: Request) -> Response:
        return apology()

    def silence() -> Response:
        return answers.document(twiml.say(""))

    voice = Voice(record, offers, humans, wishes).answer
    status = Status(record, wishes).answer
    machine = MachineAnswer(record, desk).answer
    ended = StreamEnded(record, offers, humans, settings).answer
    made = Starlette(
        routes=[
            signed(paths.VOICE, voice, apology),
            signed(paths.OUTBOUND, voice, apology, paths.WISH),
            signed(paths.STATUS, status, answers.unavailable),
            signed(paths.STATUS, status, answers.unavailable, paths.WISH),
            signed(paths.STREAM_STATUS, stream_status.answer, answers.unavailable),
            signed(paths.STREAM_ENDED, ended, apology),
            signed(paths.DIAL_ENDED, humans.ended, apology),
            signed(paths.WHISPER, humans.whisper, silence, paths.PROFILE),
            signed(paths.AMD, machine, answers.unavailable, paths.POLICY),
            Route(paths.FALLBACK, sorry, methods=["GET"]),
        ]
    )
    # A redirect would be made of the request's Host header, and its URL is not the signed one.
    made.router.redirect_slashes = False
    return made
