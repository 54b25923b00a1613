"""Wishes for calls, one a key of calls.place, shared by all webhooks processes: who took the key
dials, everybody else learns what came of it.

Kept in the key-value bucket OUTBOUND, because a call has no id, and so no log, before it is
dialled. Called by outbound, and by voice and status, which learn a wish's call from Twilio.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct, structs

from protocol import codec, ids
from protocol.errors import InvalidToken
from protocol.ids import CallId, EventId
from runtime import clock
from runtime.bucket import Bucket
from runtime.bus import Bus
from runtime.errors import NatsAway
from webhooks import paths

BUCKET = "OUTBOUND"
KEPT_S = 7 * 86_400
"""How long a key is remembered: asked again within it, nothing is dialled twice."""
MAX_BYTES = 64 * 1024**2
TRIES = 20
_RATE = "rate"


class Wish(Struct, frozen=True):
    """A call that is wanted. ``asked_at`` is Unix seconds. ``unknown``: Twilio did not say
    whether it dialled.
    """

    to: str
    from_: str
    asked_at: float
    state: Literal["dialling", "placed", "unknown"] = "dialling"
    call: str = ""


class Wishes:
    """The wishes of the last week. Every method raises NatsAway when the bucket does not answer."""

    def __init__(self, bus: Bus) -> None:
        self._bucket = Bucket(bus, BUCKET)

    async def provision(self) -> None:
        """Make the bucket unless it is there."""
        await self._bucket.provision(
            "Calls that were asked for, by key", max_age_s=KEPT_S, max_bytes=MAX_BYTES
        )

    async def make(self, wish: EventId, what: Wish) -> int | None:
        """Take the key: the revision, and with it the duty to dial; None when it is taken."""
        return await self._bucket.create(_key(wish), codec.encode(what))

    async def read(self, wish: EventId) -> Wish | None:
        """What became of a wish; None when there is none, or it was dropped."""
        held = await self._bucket.get(_key(wish))
        return None if held is None or held.value is None else codec.decode(Wish, held.value)

    async def drop(self, wish: EventId, revision: int) -> None:
        """Forget a wish for which nothing was dialled; it may be made anew."""
        await self._bucket.delete(_key(wish), revision)

    async def doubt(self, wish: EventId) -> None:
        """Twilio did not say whether it dialled."""
        await self._change(wish, "unknown", "")

    async def bind(self, wish: EventId, call: CallId) -> None:
        """The call of a wish, as Twilio says it: in the answer, a webhook or a callback."""
        await self._bucket.create(_owner(call), wish.encode())
        await self._change(wish, "placed", call)

    async def claim(self, wish: EventId, call: CallId) -> bool:
        """Bind a call that was found by its numbers, unless it belongs to another wish."""
        if await self._bucket.create(_owner(call), wish.encode()) is None:
            held = await self._bucket.get(_owner(call))
            if held is None or held.value != wish.encode():
                return False
        await self._change(wish, "placed", call)
        return True

    async def free(self, wish: EventId, call: CallId) -> bool:
        """Whether a call belongs to this wish or to none."""
        held = await self._bucket.get(_owner(call))
        return held is None or held.value in (None, wish.encode())

    async def slot(self, per_minute: int) -> bool:
        """Count one call now; False when ``per_minute`` were counted in the last 60 seconds."""
        for _ in range(TRIES):
            held = await self._bucket.get(_RATE)
            value = held.value if held is not None else None
            now = clock.unix_now()
            recent = [
                at for at in (codec.decode(list[float], value) if value else ()) if at > now - 60
            ]
            if len(recent) >= per_minute:
                return False
            data = codec.encode([*recent, now])
            revision = held.revision if held is not None else 0
            if await self._bucket.update(_RATE, data, revision) is not None:
                return True
        raise NatsAway("the count of calls is changed too often")

    async def _change(
        self, wish: EventId, state: Literal["placed", "unknown"], call: CallId | Literal[""]
    ) -> None:
        """Move a wish on. A call that is known stays; a wish that was dropped stays dropped."""
        for _ in range(TRIES):
            held = await self._bucket.get(_key(wish))
            if held is None or held.value is None:
                return
            was = codec.decode(Wish, held.value)
            if was.call:
                return
            data = codec.encode(structs.replace(was, state=state, call=call))
            if await self._bucket.update(_key(wish), data, held.revision) is not None:
                return
        raise NatsAway("the wish is changed too often")


def wish_of(key: EventId) -> EventId:
    """The wish behind a key of calls.place: safe in a URL and as a token, whatever the key is."""
    return ids.caused_event_id("outbound", key)


def wish_in(path: Mapping[str, str]) -> EventId | None:
    """The wish that a webhook's path names, None for a call that we did not place."""
    try:
        return EventId(ids.token(path[paths.WISH])) if paths.WISH in path else None
    except InvalidToken:
        return None


def _key(wish: EventId) -> str:
    return f"wish-{wish}"


def _owner(call: CallId) -> str:
    return f"call-{call}"
