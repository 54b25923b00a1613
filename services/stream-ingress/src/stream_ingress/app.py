"""Composition root of stream-ingress: bus, registry, sentences, server; then the drain."""

import asyncio
import contextlib
from functools import partial

from protocol.audio import BYTES_PER_MS
from runtime import bus as nats
from runtime import logging
from runtime.addresses import stream_base
from runtime.admin import Health
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.tasks import Tasks
from stream_ingress import local_sentences
from stream_ingress.admission import Admission
from stream_ingress.connection import carry
from stream_ingress.house import House
from stream_ingress.legs import Legs
from stream_ingress.metrics import Tally
from stream_ingress.pinger import Pinger
from stream_ingress.placement import Agents
from stream_ingress.pulse import Pulse
from stream_ingress.reach import Reach
from stream_ingress.server import Gate, Server
from stream_ingress.settings import Settings, ingress_name

_log = logging.get("app")

LAST_WORDS_S = 5.0
"""After the drain's time is up, how long a leg may wait for a quiet moment to close in."""


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Carry calls until asked to stop, then drain."""
    name, tally = ingress_name(settings), Tally()
    sentences = local_sentences.load()
    admission = Admission(
        stream_base(settings.public_url, settings.public_stream_url),
        settings.twilio_auth_token,
        settings.stream_token_secret,
        desk=settings.dashboard_url if settings.browser_phone else "",
    )
    async with (
        nats.connect(settings, f"stream-ingress/{name}", shutdown) as bus,
        Tasks("rest") as rest,
    ):
        health.add("nats", lambda: bus.connected)
        await provision(bus, wait_s=settings.startup_wait_s, shutdown=shutdown)
        reach = Reach(bus, name)
        legs, agents = Legs(bus, name, tally), Agents(bus, reach)
        pinger = Pinger(bus, agents, reach)
        gate = Gate(admission, settings.ingress_slots)
        pulse = Pulse()
        house = House(
            name=name,
            account_sid=settings.twilio_account_sid,
            bus=bus,
            admission=admission,
            reach=reach,
            agents=agents,
            pinger=pinger,
            legs=legs,
            sentences=sentences,
            pulse=pulse,
            batch_bytes=settings.ingress_batch_ms * BYTES_PER_MS,
            tally=tally,
            rest=rest,
            hold_after_s=settings.hold_after_ms / 1000,
            place_for_s=settings.place_for_s,
            away_for_s=settings.ingress_away_s,
        )

        server = Server(gate, partial(carry, house))
        async with (
            Tasks("ingress") as tasks,
            agents.following(),
            legs.answering(),
            server.listening(settings.ingress_host, settings.ingress_port),
        ):
            tasks.spawn(reach.run(), "reach")
            tasks.spawn(pulse.run(), "pulse")
            tasks.spawn(pinger.run(), "pinger")
            tasks.spawn(legs.beat(), "heartbeat")
            health.add("listening", server.is_serving)
            _log.info("listening", port=server.port, ingress=name)
            health.started()
            await shutdown.wait()
            await _drain(server, legs, settings.ingress_drain_s)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await rest.finish()


async def _drain(server: Server, legs: Legs, drain_s: int) -> None:
    """Take no new call; give open ones ``drain_s`` seconds, then hand them off by closing each at a
    quiet moment.
    """
    _log.info("draining", legs=len(legs))
    server.stop()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(drain_s):
            await server.wait_empty()
            return
    _log.warning("drain time is up", legs=len(legs))
    legs.hand_off(within_s=LAST_WORDS_S)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2 * LAST_WORDS_S):
            await server.wait_empty()
