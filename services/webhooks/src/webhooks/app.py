"""Composition root of webhooks: Twilio's HTTP side over the log."""

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from runtime import bus, logging
from runtime.admin import Health, serving
from runtime.bus import Bus
from runtime.names import process_name
from runtime.provision import provision
from runtime.service import Shutdown
from webhooks import answers, paths, stream_status, twiml
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.signature import Fallback, Gate, Handler
from webhooks.status import Status
from webhooks.stream_ended import StreamEnded
from webhooks.stream_token import Offers
from webhooks.voice import Voice

_log = logging.get("webhooks")


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Serve Twilio's requests until asked to stop. Raises ServiceError.

    Ready means that requests are answered. A NATS that goes away later does not change that: out
    of rotation nobody would speak the apology that callers get then.
    """
    worker = process_name("webhooks")
    async with bus.connect(settings, worker, shutdown) as nats:
        await provision(nats, wait_s=settings.startup_wait_s, shutdown=shutdown)
        async with serving(
            app(settings, nats, worker),
            host=settings.webhooks_host,
            port=settings.webhooks_port,
            what="webhooks",
            setting="WEBHOOKS_PORT",
        ) as port:
            _log.info("serving", port=port, public_url=settings.public_base)
            health.started()
            await shutdown.wait()


def app(settings: Settings, nats: Bus, worker: str) -> Starlette:
    """The HTTP app: four signed POST endpoints and nothing else."""
    record = Record(nats, worker)
    offers = Offers(settings)
    gate = Gate(settings.public_base, settings.twilio_auth_token, settings.twilio_account_sid)

    def signed(path: str, handler: Handler, failed: Fallback) -> Route:
        name = path.removeprefix("/twilio/")
        return Route(path, gate.endpoint(name, handler, failed), methods=["POST"])

    def apology() -> Response:
        return answers.document(twiml.apologise("unavailable"))

    made = Starlette(
        routes=[
            signed(paths.VOICE, Voice(record, offers).answer, apology),
            signed(paths.STATUS, Status(record).answer, answers.unavailable),
            signed(paths.STREAM_STATUS, stream_status.answer, answers.unavailable),
            signed(paths.STREAM_ENDED, StreamEnded(record, offers, settings).answer, apology),
        ]
    )
    # A redirect would be made of the request's Host header, and its URL is not the signed one.
    made.router.redirect_slashes = False
    return made
