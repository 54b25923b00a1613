"""Streams as code: makes JetStream hold what protocol.streams describes, again and again without
harm.
"""

from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from protocol.streams import STREAMS, StreamDefinition
from runtime import logging
from runtime.bus import Bus
from runtime.service import Shutdown, waiting

_log = logging.get("provision")


async def provision(bus: Bus, *, wait_s: int, shutdown: Shutdown) -> None:
    """Create or update every stream. Waits for JetStream; raises ServiceError when it never
    answers.
    """

    async def attempt() -> str | None:
        try:
            for definition in STREAMS:
                await _apply(bus, definition)
        except (NatsError, APIError, TimeoutError) as error:
            return f"JetStream did not accept the streams ({type(error).__name__}); is it enabled?"
        return None

    await waiting("JetStream", attempt, wait_s=wait_s, shutdown=shutdown)


async def _apply(bus: Bus, definition: StreamDefinition) -> None:
    wanted = _config(definition)
    try:
        info = await bus.jetstream.stream_info(definition.name)
    except NotFoundError:
        await bus.jetstream.add_stream(wanted)
        _log.info("stream created", stream=definition.name)
        return
    current = info.config
    same = (
        current.subjects == wanted.subjects
        and current.max_age == wanted.max_age
        and current.max_bytes == wanted.max_bytes
        and current.duplicate_window == wanted.duplicate_window
        and current.allow_direct == wanted.allow_direct
        and _republish(current) == _republish(wanted)
    )
    if not same:
        wanted.num_replicas = current.num_replicas
        await bus.jetstream.update_stream(wanted)
        _log.info("stream updated", stream=definition.name)


def _republish(config: api.StreamConfig) -> tuple[str | None, str | None] | None:
    return None if config.republish is None else (config.republish.src, config.republish.dest)


def _config(definition: StreamDefinition) -> api.StreamConfig:
    republish = definition.republish
    return api.StreamConfig(
        name=definition.name,
        description=definition.description,
        subjects=list(definition.subjects),
        max_age=float(definition.max_age_s),
        max_bytes=definition.max_bytes,
        duplicate_window=float(definition.duplicate_window_s),
        republish=None
        if republish is None
        else api.RePublish(src=republish.source, dest=republish.destination),
        discard=api.DiscardPolicy.OLD,
        allow_direct=True,
    )
