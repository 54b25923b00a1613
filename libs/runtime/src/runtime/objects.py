"""A bucket of the JetStream object store: small objects by name, for what may be lost.

Services use it for caches; each object is one chunk, so that reading it is two direct gets and no
consumer. The bucket is made on first use and kept as protocol.buckets describes it. NATS may be
away: then everything fails at once with NatsAway.
"""

import asyncio
import base64
import hashlib

import nats.errors
from nats.js import api
from nats.js.errors import Error as JetStreamError
from nats.js.errors import NotFoundError
from nats.js.object_store import ObjectStore

from protocol.buckets import BucketDefinition
from runtime import logging
from runtime.bus import Bus
from runtime.errors import NatsAway

_log = logging.get("objects")

MAX_BYTES = 512 * 1024
"""Of one object: one chunk below the server's default ``max_payload``."""
_FAILURES = (nats.errors.Error, JetStreamError, OSError)
_DIGEST = "SHA-256="


class Objects:
    """One bucket."""

    def __init__(self, bus: Bus, definition: BucketDefinition) -> None:
        self._bus = bus
        self._definition = definition
        self._stream = f"OBJ_{definition.name}"
        self._store: ObjectStore | None = None
        self._making = asyncio.Lock()

    async def get(self, name: str, *, timeout: float) -> bytes | None:
        """The object, None when there is none or it is damaged.

        Raises NatsAway when NATS is away, refuses, or takes longer than ``timeout`` seconds.
        """
        self._connected()
        try:
            async with asyncio.timeout(timeout):
                store = await self._opened()
                info = await store.get_info(name)
                if info.size == 0 or info.size is None or info.size > MAX_BYTES:
                    return None
                chunk = await self._bus.jetstream.get_last_msg(
                    self._stream, f"$O.{self._definition.name}.C.{info.nuid}", direct=True
                )
        except NotFoundError:  # also of a chunk that expired before its name
            return None
        except (TimeoutError, *_FAILURES) as error:
            raise self._away("read") from error
        data = chunk.data or b""
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
        if info.digest != _DIGEST + digest:
            _log.warning("damaged object", bucket=self._definition.name)
            return None
        return data

    async def put(self, name: str, data: bytes, *, timeout: float) -> None:
        """Keep an object under a name, in place of the one before.

        Raises ValueError for more than MAX_BYTES, NatsAway when NATS is away, refuses (the bucket
        may be full) or takes longer than ``timeout`` seconds.
        """
        if len(data) > MAX_BYTES:
            raise ValueError(f"an object has at most {MAX_BYTES} bytes")
        self._connected()
        meta = api.ObjectMeta(options=api.ObjectMetaOptions(max_chunk_size=MAX_BYTES))
        try:
            async with asyncio.timeout(timeout):
                store = await self._opened()
                await store.put(name, data, meta)
        except (TimeoutError, *_FAILURES) as error:
            raise self._away("write") from error

    def _connected(self) -> None:
        if not self._bus.connected:
            raise NatsAway(f"bucket {self._definition.name} cannot be reached")

    def _away(self, doing: str) -> NatsAway:
        # A bucket that was deleted under us is made again by the next use.
        self._store = None
        return NatsAway(f"cannot {doing} in bucket {self._definition.name}")

    async def _opened(self) -> ObjectStore:
        async with self._making:
            if self._store is None:
                await self._provision()
                self._store = await self._bus.jetstream.object_store(self._definition.name)
            return self._store

    async def _provision(self) -> None:
        wanted, jetstream = self._definition, self._bus.jetstream
        try:
            info = await jetstream.stream_info(self._stream)
        except NotFoundError:
            await jetstream.create_object_store(
                wanted.name,
                config=api.ObjectStoreConfig(
                    description=wanted.description,
                    ttl=float(wanted.max_age_s),
                    max_bytes=wanted.max_bytes,
                ),
            )
            _log.info("bucket created", bucket=wanted.name)
            return
        current = info.config
        if (current.max_age, current.max_bytes) != (wanted.max_age_s, wanted.max_bytes):
            current.max_age, current.max_bytes = float(wanted.max_age_s), wanted.max_bytes
            await jetstream.update_stream(current)
            _log.info("bucket updated", bucket=wanted.name)
