"""Streams as code: makes JetStream hold what protocol.streams describes, again and again without
harm.
"""

from msgspec import structs
from nats.errors import Error as NatsError
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from protocol.streams import CALLS, DAY_S, RECORDINGS, StreamDefinition
from runtime import logging
from runtime.bus import Bus
from runtime.service import Shutdown, waiting

_log = logging.get("provision")


async def provision(bus: Bus, *, wait_s: int, shutdown: Shutdown) -> None:
    """Create or update the log of calls. Waits for JetStream; raises ServiceError when it never
    answers.
    """

    async def attempt() -> str | None:
        try:
            await _apply(bus, CALLS)
        except (NatsError, APIError, TimeoutError) as error:
            return f"JetStream did not accept the streams ({type(error).__name__}); is it enabled?"
        return None

    await waiting("JetStream", attempt, wait_s=wait_s, shutdown=shutdown)


async def provision_recordings(bus: Bus, *, days: int, max_bytes: int) -> bool:
    """Create or update the stream of recordings, to be kept for ``days`` and at most ``max_bytes``
    of them. False, and an error in the log, when JetStream refuses it, say for want of room: calls
    go on without being recorded.
    """
    wanted = structs.replace(RECORDINGS, max_age_s=days * DAY_S, max_bytes=max_bytes)
    try:
        await _apply(bus, wanted)
    except (NatsError, APIError, TimeoutError) as error:
        refusal = error.description if isinstance(error, APIError) else type(error).__name__
        _log.error("no stream of recordings: no call is recorded", reason=refusal)
        return False
    return True


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
