"""Placing calls: once a key, whatever happens to the answer. The handler of calls.place.

A create that Twilio did not answer is looked up, never repeated.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from protocol.calls import CallPlaced, CallRefused, PlaceCall, PlaceReply
from protocol.ids import CallId, EventId
from runtime import clock, logging
from runtime.assistant import E164
from runtime.errors import NatsAway
from webhooks import metrics, paths, twilio_rest
from webhooks.numbers import Parties, refusal
from webhooks.record import Record
from webhooks.settings import Settings
from webhooks.twilio_rest import TwilioRefused, TwilioRest, TwilioSilent
from webhooks.wishes import Wish, Wishes, wish_of

_log = logging.get("outbound")

LOG_S = 2.0
POLL_S = 0.1
LOOKS = 3
LOOK_S = 1.0
"""A create without an answer is looked for so often, this far apart."""
SKEW = timedelta(seconds=30)
"""How far Twilio's clock, whole seconds, and ours may differ."""
RING_S = (5, 600)
"""What Twilio takes as ring time (Calls resource, Timeout)."""

_UNKNOWN = CallRefused(
    "unknown_outcome",
    "Twilio did not say whether it dialled. Nothing is dialled again; "
    "ask under the same key to learn what came of it.",
)


class Outbound:
    """Places calls for everybody who asks."""

    def __init__(
        self, settings: Settings, wishes: Wishes, rest: TwilioRest, record: Record
    ) -> None:
        self._settings = settings
        self._base = settings.public_base
        self._wishes = wishes
        self._rest = rest
        self._record = record

    async def place(self, ask: PlaceCall) -> PlaceReply:
        """Dial, or say what came of this key. Raises NatsAway when that cannot be known now."""
        reply = await self._place(ask)
        outcome = "placed" if isinstance(reply, CallPlaced) else reply.reason
        metrics.placed.labels(outcome).inc()
        _log.info("call asked for", outcome=outcome)
        return reply

    async def _place(self, ask: PlaceCall) -> PlaceReply:
        if not ask.key:
            return CallRefused("not_allowed", "A call needs a key, so that it is dialled once.")
        from_ = ask.from_ or self._settings.twilio_phone_number
        if not E164.match(from_):
            return CallRefused(
                "not_allowed", "There is no number to call from: set TWILIO_PHONE_NUMBER."
            )
        if (reason := refusal(ask.to, self._settings.outbound_prefixes)) is not None:
            return CallRefused("not_allowed", reason)
        wish = wish_of(ask.key)
        wanted = Wish(ask.to, from_, clock.unix_now())
        revision = await self._wishes.make(wish, wanted)
        if revision is None:
            return await self._again(wish, wanted)
        try:
            counted = await self._wishes.slot(self._settings.outbound_per_minute)
        except NatsAway:
            await self._drop(wish, revision)
            raise
        if not counted:
            await self._drop(wish, revision)
            return too_many(self._settings.outbound_per_minute)
        return await self._dial(wish, wanted, revision, ask)

    async def _dial(self, wish: EventId, wanted: Wish, revision: int, ask: PlaceCall) -> PlaceReply:
        """The only place that creates a call; reached once a wish."""
        try:
            call = await self._rest.place(
                to=wanted.to,
                from_=wanted.from_,
                voice_url=self._base + paths.outbound(wish),
                status_url=self._base + paths.outbound_status(wish),
                amd_url=self._base + paths.amd(ask.machine),
                ring_s=max(RING_S[0], min(ask.ring_s, RING_S[1])),
                limit_s=self._settings.outbound_call_s,
            )
        except TwilioRefused as error:
            _log.warning("call refused by twilio", status=error.status, code=error.code)
            await self._drop(wish, revision)
            return refused_by_twilio(error)
        except TwilioSilent:
            _log.warning("create without an answer")
            await self._wishes.doubt(wish)
            return await self._find(wish, wanted)
        try:
            await self._wishes.bind(wish, call)
        except NatsAway:
            # Twilio's webhook and callbacks carry the wish too.
            _log.warning("call not bound to its wish: the log is away", call_id=call)
        return await self._placed(call, wanted)

    async def _drop(self, wish: EventId, revision: int) -> None:
        """Nothing was dialled. A wish that stays all the same is answered as unknown."""
        try:
            await self._wishes.drop(wish, revision)
        except NatsAway:
            _log.warning("wish not dropped: the log is away")

    async def _again(self, wish: EventId, wanted: Wish) -> PlaceReply:
        """Somebody has this key: wait for what they learn."""
        looked = False
        while True:
            found = await self._wishes.read(wish)
            if found is None:
                return CallRefused("twilio", "Nothing was dialled for this key: ask again.")
            if (found.to, found.from_) != (wanted.to, wanted.from_):
                return CallRefused("not_allowed", "This key was used for another call.")
            if found.call:
                return CallPlaced(CallId(found.call))
            # Who took the key may have died before it learned anything.
            overdue = clock.unix_now() - found.asked_at > twilio_rest.REST_S + LOOKS * LOOK_S
            if found.state == "unknown" and looked:
                return _UNKNOWN
            if found.state == "unknown" or overdue:
                return await self._find(wish, found)
            looked = True
            await asyncio.sleep(POLL_S)

    async def _find(self, wish: EventId, wanted: Wish) -> PlaceReply:
        """What came of a create without an answer: Twilio's callbacks tell its call, and so does
        the list, if exactly one call of these numbers is nobody else's.
        """
        since = datetime.fromtimestamp(wanted.asked_at, UTC) - SKEW
        for look in range(LOOKS):
            if look:
                await asyncio.sleep(LOOK_S)
            found = await self._wishes.read(wish)
            if found is not None and found.call:
                return await self._placed(CallId(found.call), wanted)
            try:
                calls = await self._rest.find(to=wanted.to, from_=wanted.from_, since=since)
            except (TwilioRefused, TwilioSilent):
                continue
            ours = [call for call in calls if await self._wishes.free(wish, call)]
            if len(ours) == 1 and await self._wishes.claim(wish, ours[0]):
                _log.info("call found after all", call_id=ours[0])
                return await self._placed(ours[0], wanted)
        return _UNKNOWN

    async def _placed(self, call: CallId, wanted: Wish) -> CallPlaced:
        """The answer; the log begins with ``ringing``, whoever writes it first."""
        who = Parties(caller=wanted.to, called=wanted.from_, direction="outbound")
        try:
            await self._record.rang(call, who, timeout=LOG_S)
        except NatsAway:
            _log.warning("ringing not written: the log is away", call_id=call)
        return CallPlaced(call)


def too_many(per_minute: int) -> CallRefused:
    """The refusal of a call beyond OUTBOUND_PER_MINUTE."""
    return CallRefused(
        "too_many",
        f"At most {per_minute} calls a minute (OUTBOUND_PER_MINUTE): try again in a moment.",
    )


def refused_by_twilio(error: TwilioRefused) -> CallRefused:
    """What Twilio's refusal means to a person."""
    if error.status == 429:
        return CallRefused("twilio", "Twilio takes no more requests now: try again in a moment.")
    return CallRefused("twilio", f"Twilio refused (error {error.code}); nothing was done.")
