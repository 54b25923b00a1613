"""A NATS key-value bucket whose keys are taken and changed by expected revision: the lock and the
counters that several replicas of a service share. Readable with ``nats kv``.

Reads ask the stream's leader, because decisions hang on them. Never used for a call's events.
"""

import asyncio

import nats.errors
from msgspec import Struct
from nats.js import api
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from protocol import ids
from protocol.streams import (
    BUSY_LAST_SEQUENCE,
    EXPECTED_LAST_SUBJECT_SEQUENCE,
    MSG_ID,
    WRONG_LAST_SEQUENCE,
)
from runtime.bus import Bus
from runtime.errors import NatsAway

ACK_S = 1.0
RETRY_S = 0.05
_OPERATION = "KV-Operation"
_AWAY = (NoStreamResponseError, nats.errors.Error, TimeoutError)


class Held(Struct, frozen=True):
    """What a key holds, and the revision that a change must expect. None: it was deleted."""

    value: bytes | None
    revision: int


class Bucket:
    """One bucket. Keys are NATS tokens. Every method raises NatsAway without an answer in time."""

    def __init__(self, bus: Bus, name: str, *, timeout: float = 3) -> None:
        self._bus = bus
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."
        self._timeout = timeout

    async def provision(self, description: str, *, max_age_s: int, max_bytes: int) -> None:
        """Make the bucket unless it is there; keys go ``max_age_s`` seconds after their change."""
        try:
            async with asyncio.timeout(self._timeout):
                try:
                    await self._bus.jetstream.stream_info(self._stream)
                except NotFoundError:
                    await self._bus.jetstream.add_stream(
                        api.StreamConfig(
                            name=self._stream,
                            description=description,
                            subjects=[f"{self._prefix}>"],
                            max_msgs_per_subject=1,
                            max_age=float(max_age_s),
                            max_bytes=max_bytes,
                            discard=api.DiscardPolicy.NEW,
                            allow_rollup_hdrs=True,
                            deny_delete=True,
                            allow_direct=True,
                            duplicate_window=120.0,
                        )
                    )
        except (APIError, *_AWAY) as error:
            raise NatsAway("the bucket cannot be made") from error

    async def get(self, key: str) -> Held | None:
        """What the key holds now; None when it never held anything."""
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._bus.jetstream.get_last_msg(self._stream, self._prefix + key)
        except NotFoundError:
            return None
        except (APIError, *_AWAY) as error:
            raise NatsAway("the bucket does not answer") from error
        assert found.seq is not None, "a stored message has a sequence"
        deleted = (found.headers or {}).get(_OPERATION) is not None
        return Held(None if deleted else found.data or b"", found.seq)

    async def create(self, key: str, value: bytes) -> int | None:
        """Take a key that holds nothing: its revision, or None when somebody else has it."""
        revision = await self._put(key, value, 0, {})
        if revision is not None:
            return revision
        held = await self.get(key)
        if held is None or held.value is not None:
            return None
        return await self._put(key, value, held.revision, {})

    async def update(self, key: str, value: bytes, revision: int) -> int | None:
        """Change the key if it still has ``revision``: the new one, or None when it has not."""
        return await self._put(key, value, revision, {})

    async def delete(self, key: str, revision: int) -> bool:
        """Empty the key if it still has ``revision``."""
        return await self._put(key, b"", revision, {_OPERATION: "DEL"}) is not None

    async def _put(
        self, key: str, value: bytes, expected: int, headers: dict[str, str]
    ) -> int | None:
        # A publish without an answer is repeated under its id: the server answers it as a double
        # with the first one's sequence, so that who took a key knows it.
        headers = {
            MSG_ID: ids.new_event_id(),
            EXPECTED_LAST_SUBJECT_SEQUENCE: str(expected),
            **headers,
        }
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    try:
                        ack = await self._bus.jetstream.publish(
                            self._prefix + key, value, timeout=ACK_S, headers=headers
                        )
                    except APIError as error:
                        if error.err_code == WRONG_LAST_SEQUENCE:
                            return None
                        if error.err_code != BUSY_LAST_SEQUENCE:
                            raise NatsAway(f"the bucket answered {error.err_code}") from error
                    except (NoStreamResponseError, nats.errors.Error):
                        pass  # away, or no answer: asked again below
                    else:
                        return ack.seq
                    await asyncio.sleep(RETRY_S)
        except TimeoutError:
            raise NatsAway("the bucket does not answer") from None
