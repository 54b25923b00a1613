"""A durable pull consumer of a stream: every message is handled at least once by one of the
processes that share its name.

The server remembers what was acknowledged. A process acknowledges after it has committed; one
that dies in between leaves the messages to the others, so the effect must bear a repeat.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence

import nats.errors
from msgspec import Struct
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, FetchTimeoutError
from nats.js.errors import Error as JetStreamError

from runtime import logging
from runtime.bus import Bus
from runtime.errors import NatsAway

_log = logging.get("durable")

WAIT_S = 2.0
"""Longest wait of one ``fetch``; an empty one is no error."""
_FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


class Delivered(Struct, frozen=True):
    """A message to be handled. ``deliveries`` counts the tries, this one included."""

    sequence: int
    subject: str
    data: bytes
    headers: Mapping[str, str]
    deliveries: int
    message: Msg


class Durable:
    """The consumer ``name`` of ``stream``, made on first use with all the stream holds to be
    handled. What is not acknowledged within ``ack_wait_s`` seconds comes again, to anybody.
    """

    def __init__(
        self, bus: Bus, stream: str, name: str, subject: str, *, ack_wait_s: float, most: int
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._most = most
        self._config = api.ConsumerConfig(
            durable_name=name,
            filter_subject=subject,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=ack_wait_s,
            max_ack_pending=most * 16,
        )
        self._pull: JetStreamContext.PullSubscription | None = None

    async def fetch(self) -> list[Delivered]:
        """The next messages, at most ``most``; [] when there is none for a while. Raises
        NatsAway.
        """
        try:
            pull = self._pull or await self._opened()
            messages = await pull.fetch(self._most, timeout=WAIT_S)
        except FetchTimeoutError:
            return []
        except APIError as error:  # the consumer may be gone: made again by the next fetch
            await self.close()
            raise NatsAway(f"consumer {self._config.durable_name} was refused") from error
        except TimeoutError:
            # No word from the server at all: the wait is over, or NATS or the consumer is gone.
            if not await self._is_there():
                await self.close()
            return []
        except _FAILURES as error:
            await self.close()
            raise NatsAway(f"stream {self._stream} does not answer") from error
        return [_delivered(message) for message in messages]

    async def ack(self, handled: Sequence[Delivered]) -> None:
        """They are done with. One that is lost on the way only makes the message come again."""
        for one in handled:
            with contextlib.suppress(nats.errors.Error):
                await one.message.ack()

    async def again(self, delivered: Sequence[Delivered], after_s: float) -> None:
        """They could not be handled now: to be delivered once more, not before ``after_s``."""
        for one in delivered:
            with contextlib.suppress(nats.errors.Error):
                await one.message.nak(delay=after_s)

    async def close(self) -> None:
        """Ask for nothing further; the consumer stays."""
        pull, self._pull = self._pull, None
        if pull is not None:
            with contextlib.suppress(*_FAILURES):
                async with asyncio.timeout(1):
                    await pull.unsubscribe()

    async def _opened(self) -> JetStreamContext.PullSubscription:
        await self._bus.jetstream.add_consumer(self._stream, self._config)
        name = self._config.durable_name
        self._pull = await self._bus.jetstream.pull_subscribe_bind(name, stream=self._stream)
        _log.info("consumer bound", consumer=name)
        return self._pull

    async def _is_there(self) -> bool:
        name = self._config.durable_name
        assert name is not None, "made with a name"
        try:
            await self._bus.jetstream.consumer_info(self._stream, name)
        except _FAILURES:
            return False
        return True


def _delivered(message: Msg) -> Delivered:
    place = message.metadata
    return Delivered(
        place.sequence.stream,
        message.subject,
        message.data,
        message.headers or {},
        place.num_delivered,
        message,
    )
