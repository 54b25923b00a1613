"""No call is left without its stream: legs that no heartbeat names any more are looked after.

The shell around lost_legs, run by app in every webhooks process. Asks the log, then carries on what
it says: by REST, since Twilio did not ask. Several processes may look at one call; locks in the
log (``resuming``, ``redirecting``, ``call_ended``) let one of them act.
"""

import asyncio
import contextlib
from datetime import timedelta

from protocol import codec, ids, subjects
from protocol.calls import CallDone, TransferCall
from protocol.events import CallEnded, Ringing, StreamStarted, name_of
from protocol.ids import CallId, Leg
from protocol.placement import IngressAlive
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime import clock, logging
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway
from runtime.subscribed import Message
from runtime.tasks import Tasks
from webhooks import metrics, twiml
from webhooks.browser_legs import BrowserLegs
from webhooks.calls import Calls
from webhooks.decision import (
    TERMINAL,
    WATCHDOG,
    Apologise,
    DialHuman,
    HangUp,
    NewStream,
    Wait,
    decide,
    end_reason,
)
from webhooks.humans import Humans
from webhooks.lost_legs import Lost, Roll, next_step, still_open
from webhooks.reconnect import Reconnect, parties_of
from webhooks.record import Record
from webhooks.story import Story
from webhooks.twilio_rest import TwilioRefused, TwilioRest, TwilioSilent

_log = logging.get("watchdog")

LOOK_S = 0.5
NEAR_S = 1.0
LOG_S = 2.0
AGAIN_MS = 3_000
LATER_MS = 30_000
"""How often Twilio is asked about a call that has long been without a leg."""
LONG_MS = 60_000
AT_ONCE = 20
"""Calls looked after at the same time; an ingress that dies has many."""
RECALL = timedelta(minutes=15)
"""How far back a starting process looks for legs whose ingress died before it came."""
_NOBODY = CallId("nobody")


class Watchdog:
    """Looks after lost legs, for ever."""

    def __init__(
        self,
        bus: Bus,
        record: Record,
        rest: TwilioRest,
        humans: Humans,
        desk: Calls,
        reconnect: Reconnect,
        legs: BrowserLegs,
    ) -> None:
        self._bus = bus
        self._log = CallLog(bus)
        self._record = record
        self._rest = rest
        self._humans = humans
        self._desk = desk
        self._reconnect = reconnect
        self._legs = legs
        self._roll = Roll()
        self._in_work: set[CallId] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def run(self, caring: Tasks) -> None:
        """Follow heartbeats and events; what is lost is looked after in ``caring``, which may
        outlive this: who took a call should redirect it before the process ends.
        """
        handlers = {
            subjects.ALL_INGRESS_ALIVE: self._alive,
            subjects.all_events(name_of(Ringing)): self._rang,
            subjects.all_events(name_of(StreamStarted)): self._started,
            subjects.all_events(name_of(CallEnded)): self._ended,
        }
        async with contextlib.AsyncExitStack() as stack:
            for subject, handler in handlers.items():
                subscribed = await self._bus.subscribe(subject, handler)
                stack.push_async_callback(subscribed.stop)
            # A log asked while away may answer after the reconnect, as if nothing had been.
            stack.callback(self._bus.on_reconnect(self._roll.doubt))
            await self._recall()
            while True:
                near = await self._near()
                for lost in self._roll.look(clock.monotonic_ms(), near=near):
                    if lost.call not in self._in_work:
                        self._in_work.add(lost.call)
                        caring.isolate(self._care(lost), "lost leg")
                await asyncio.sleep(LOOK_S)

    # -- what is followed

    async def _alive(self, message: Message) -> None:
        self._roll.heartbeat(codec.decode(IngressAlive, message.data), clock.monotonic_ms())

    async def _rang(self, message: Message) -> None:
        self._roll.rang(_call_of(message), clock.monotonic_ms())

    async def _started(self, message: Message) -> None:
        leg = Leg(int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0")))
        self._roll.seen(_call_of(message), leg, clock.monotonic_ms())

    async def _ended(self, message: Message) -> None:
        self._roll.forget(_call_of(message))

    async def _recall(self) -> None:
        """Learn from the log which calls should have a leg: of one whose ingress is dead no
        heartbeat tells.
        """
        since = clock.utc_now() - RECALL
        while True:
            try:
                started = await self._log.recent(name_of(StreamStarted), since)
                ended = await self._log.recent(name_of(CallEnded), since)
            except NatsAway:
                await asyncio.sleep(LOOK_S)
                continue
            legs = still_open(
                ((entry.event.call_id, Leg(entry.sequence)) for entry in started),
                (entry.event.call_id for entry in ended),
            )
            for call, leg in legs.items():
                self._roll.seen(call, leg, clock.monotonic_ms())
            return

    async def _near(self) -> bool:
        """Whether the log answers us now."""
        try:
            await self._log.last(_NOBODY, name_of(CallEnded), timeout=NEAR_S)
        except NatsAway:
            return False
        return self._bus.connected

    # -- what is done

    async def _care(self, lost: Lost) -> None:
        pause_ms = _pause_ms(lost)
        try:
            async with self._slots:
                pause_ms = await self._looked_after(lost)
        except (NatsAway, TwilioSilent) as error:
            _log.warning("lost leg not looked after", call_id=lost.call, why=type(error).__name__)
        except TwilioRefused as error:
            _log.warning("twilio refused", call_id=lost.call, code=error.code, status=error.status)
        finally:
            self._in_work.discard(lost.call)
            # The end of a call, or a newer leg, is heard of as an event.
            if pause_ms:
                self._roll.postpone(lost, clock.monotonic_ms() + pause_ms)
            else:
                self._roll.forget(lost.call, lost.leg)

    async def _looked_after(self, lost: Lost) -> int:
        """When to look again, in ms; 0: never. Raises NatsAway, TwilioRefused, TwilioSilent."""
        call = lost.call
        story = await self._record.story(call, timeout=LOG_S)
        step = next_step(story, lost, clock.utc_now())
        if step == "forget":
            return 0
        _log.info("leg is in no heartbeat", call_id=call, leg=lost.leg, step=step)
        if story.channel == "browser":
            if step == "act":
                await self._legs.left(call, story)
        elif not await self._over(call) and step == "act":
            await self._act(call, story)
        return _pause_ms(lost)

    async def _act(self, call: CallId, story: Story) -> None:
        """Do what stream_ended would answer."""
        target = self._humans.target(parties_of(story).called)
        decision = decide(
            story,
            call_status="in-progress",
            request=ids.new_event_id(),
            now=clock.utc_now(),
            human_there=target is not None,
        )
        match decision:
            case NewStream():
                done = await self._reconnect.to(call, story, decision, reason=WATCHDOG)
            case DialHuman():
                done = await self._dial(call, story)
            case HangUp() | Apologise():
                done = await self._end(call, story, decision)
            case Wait():
                done = False
        metrics.lost_legs.labels(type(decision).__name__ if done else "left to others").inc()

    async def _dial(self, call: CallId, story: Story) -> bool:
        if not await self._taken(call, story, "transfer"):
            return False
        reply = await self._desk.transfer(TransferCall(call))
        if isinstance(reply, CallDone):
            return True
        if reply.reason == "unknown_outcome":
            raise TwilioSilent
        apology = Apologise("no_transfer", "failed")
        newest = await self._record.story(call, timeout=LOG_S)
        return await self._end(call, newest, apology)

    async def _end(self, call: CallId, story: Story, decision: HangUp | Apologise) -> bool:
        if decision.reason is None:
            return False
        why = "hang_up" if isinstance(decision, HangUp) else decision.reason
        if not await self._taken(call, story, why):
            return False
        if isinstance(decision, HangUp):
            await self._rest.hang_up(call)
        elif decision.apology == "no_transfer":
            await self._rest.redirect(call, self._humans.nobody(parties_of(story).called))
        else:
            await self._rest.redirect(call, twiml.apologise(decision.apology))
        await self._record.ended(call, decision.reason, timeout=LOG_S)
        return True

    async def _taken(self, call: CallId, story: Story, why: str) -> bool:
        return await self._record.redirecting_after(
            call, why, expected=story.redirected, timeout=LOG_S
        )

    async def _over(self, call: CallId) -> bool:
        """Ask Twilio whether the call is over; if so, the log has its end."""
        try:
            status = await self._rest.status(call)
        except TwilioRefused as error:
            if not error.over:
                raise
            status = "completed"  # long forgotten, or never there
        if status not in TERMINAL:
            return False
        story = await self._record.story(call, timeout=LOG_S)
        if story.ended is None:
            reason = end_reason(status, story)
            await self._record.ended(call, reason, status=status, timeout=LOG_S)
            metrics.lost_legs.labels("ended").inc()
            _log.info("call is over", call_id=call, status=status, reason=reason)
        return True


def _call_of(message: Message) -> CallId:
    return subjects.parse_call(message.subject)[0]


def _pause_ms(lost: Lost) -> int:
    return AGAIN_MS if lost.silent_ms < LONG_MS else LATER_MS
