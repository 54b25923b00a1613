"""The life of one leg: opened in the log, held by an agent, ended with its last words written.

connection makes one once the token holds and hands it what comes from the socket. A leg owns its
subscriptions, tasks and outbox; nothing of it is left when ``run`` returns.
"""

import asyncio
import contextlib

from protocol import subjects
from protocol.ids import CallId, Leg
from protocol.line import Intent
from protocol.stream_token import StreamToken
from protocol.streams import REPUBLISHED_SEQUENCE
from runtime import clock, logging
from runtime.calllog import CallLog
from runtime.errors import NatsAway
from runtime.outbox import writing
from runtime.tasks import Tasks
from stream_ingress import metrics
from stream_ingress.ear_tracks import EarTracks
from stream_ingress.ending import INTERNAL_ERROR, TRY_AGAIN_LATER, Ending
from stream_ingress.holder import Holder
from stream_ingress.house import House
from stream_ingress.leg_log import LegLog
from stream_ingress.line_in import LineIn
from stream_ingress.line_out import LineOut, Message, Reports
from stream_ingress.media_stream import POLICY_VIOLATION, Open
from stream_ingress.outgoing import Outgoing
from stream_ingress.patience import Patience
from stream_ingress.quiet import QuietMoment
from stream_ingress.ring import Ring
from stream_ingress.server import MediaSocket
from stream_ingress.uplink import Uplink

_log = logging.get("leg")

SILENT_AFTER_S = 10
"""Twilio sends frames all the time, silence included; a socket without any for so long is dead."""
LAST_WORDS_S = 2.0
"""How long a leg may take to write why it closes, and how long to write that it is over."""
REST_BOUND = 1000
"""Legs whose events may wait for NATS after their end."""
REREAD_S = 5.0
"""How long an ``assigned`` may be missing before it is looked up."""
RETELL_S = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Pauses before each time that the holder is told again what it may have missed."""
LOOK_MS = 50
"""How often a quiet moment is looked for."""
PLAYED_OUT_CAP_S = 5.0
"""How long the last mark may take, beyond the audio that remains."""


class CallLeg:
    """One leg. ``over`` ends it; the first reason counts."""

    def __init__(self, house: House, socket: MediaSocket, opened: Open, token: StreamToken) -> None:
        self.call: CallId = opened.call_id
        self._house = house
        self._socket = socket
        self._stream_id = opened.stream_id
        self._token = token
        self._notes = _log.bind(call_id=self.call)
        self._log = LegLog(house.bus, self.call, house.name)
        self.outgoing = Outgoing(socket, opened.stream_id)
        self._newest_leg = 0
        self._ending = False
        self._serving: Tasks | None = None
        self._over: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._uplink = Uplink(house.bus, house.pulse)
        self.line_in = LineIn(
            self._uplink, self.call, token.line_ms, house.tally, batch_bytes=house.batch_bytes
        )
        self.line_out = LineOut(
            self._uplink,
            self.call,
            self.outgoing,
            lambda: self.line_in.now_ms,
            Reports(
                finished=lambda item: self._log.heard(item, self.line_in.now_ms),
                end=self.end,
                holder=lambda epoch: self._holder.spoke(epoch),
                ear=lambda opened: self.ear.open(opened),
            ),
            house.tally,
        )

        self.ear = EarTracks(house.bus, self.call, self.line_in, self.line_out)

        def over() -> bool:
            return self._over.done() or self._ending

        self._patience = Patience(house, self.line_out, end=self.end, over=over)
        self._holder = Holder(
            house,
            self.call,
            self.line_in,
            self.line_out,
            self._patience,
            end=self.end,
            over=over,
        )

    @property
    def ring(self) -> Ring:
        return self.line_in.ring

    @property
    def ending(self) -> bool:
        """Whether it closes, or is about to."""
        return self._ending

    def over(self, ending: Ending) -> None:
        """The leg ends now. Later calls change nothing."""
        if not self._over.done():
            self._over.set_result(ending)

    def end(self, intent: Intent, *, within_s: float | None = None) -> None:
        """Close with this intent once what was sent has been heard, or after ``within_s``.

        Later calls change nothing, and neither does one before the leg serves.
        """
        if self._serving is not None and not self._ending:
            self._ending = True
            self._serving.spawn(self._play_out_and_close(intent, within_s), "end")

    def hand_off(self, *, within_s: float) -> None:
        """Close with intent handoff at the first quiet moment, or after ``within_s``."""
        if self._serving is not None and not self._ending:
            self._serving.spawn(self._hand_off(within_s), "hand off")

    async def run(self, tasks: Tasks) -> None:
        """Carry the leg to its end. ``tasks`` belongs to the socket, and outlives this."""
        bus = self._house.bus
        async with contextlib.AsyncExitStack() as stack:
            # Before the take and on the same connection, so its ack says that this is in place.
            newer = await bus.subscribe(
                subjects.event(self.call, "stream_started"), self._stream_started
            )
            stack.push_async_callback(newer.stop)
            try:
                if not await self._log.open(self._stream_id, self._token):
                    await self._refuse(POLICY_VIOLATION, "used token")
                    return
            except NatsAway:
                await self._refuse(TRY_AGAIN_LATER, "log away")
                return
            self._log.write_to(
                await stack.enter_async_context(writing(bus, self.call, tasks, flush_s=0.5))
            )
            stack.enter_context(self._house.legs.holding(self._log.leg, self))
            self._notes.info("leg opened", leg=self._log.leg)
            self._check_newest()
            try:
                ending = await self._serve()
            except Exception:  # a boundary: the last words are written whatever failed
                self._notes.exception("leg failed")
                ending = Ending("failed", INTERNAL_ERROR, "internal error")
                self.over(ending)
            await self._finish(ending, tasks)
        if len(self._house.rest) < REST_BOUND:
            if self.ear.has_rest:
                self._house.rest.isolate(self.ear.write_rest(), "recording")
            if self._log.has_rest:
                self._house.rest.isolate(self._log.write_rest(), "events")

    async def _serve(self) -> Ending:
        """Everything between the opening and the end; gives the end's reason."""
        async with contextlib.AsyncExitStack() as stack:
            subscriptions = await self._holder.begin(
                self._log.leg, previous_leg=self._token.previous_leg
            )
            for subscription in subscriptions:
                stack.push_async_callback(subscription.stop)
            reread, retell = asyncio.Event(), asyncio.Event()

            def reach_changed(near: bool) -> None:
                self._patience.reach_changed(near)
                if near:
                    reread.set()
                    retell.set()

            stack.callback(self._house.reach.on_change(reach_changed))
            stack.enter_context(self._house.pinger.watching(self._holder))
            async with Tasks("leg") as tasks:
                self._serving = tasks
                tasks.spawn(self.ear.write(), "ear")
                if self._socket.crowded and not self._token.previous_leg:
                    self._notes.warning("no slot free", leg=self._log.leg)
                    self.end("busy", within_s=0)
                else:
                    tasks.spawn(self._holder.seek(), "placing")
                tasks.spawn(self._patience.speak(), "holding")
                tasks.spawn(self._patience.give_up(), "giving up")
                tasks.spawn(self._watching(), "watching")
                tasks.spawn(self._rereading(reread), "rereading")
                tasks.spawn(self._retelling(retell), "retelling")
                if self._house.legs.hand_off_within_s is not None:
                    self.hand_off(within_s=self._house.legs.hand_off_within_s)
                ending = await self._over
                self._serving = None
            return ending

    async def _finish(self, ending: Ending, tasks: Tasks) -> None:
        closing = tasks.spawn(self._socket.close(ending.code, ending.text), "close")
        self.line_out.finish()
        line, within_s = self.line_in, self._last_words_s()
        line.end_batch()
        await self._uplink.flush()
        if ending.reason == "stop":
            self._log.hung_up()
        await self.ear.finish(within_s)
        with contextlib.suppress(TimeoutError, NatsAway):  # the rest is written later
            async with asyncio.timeout(within_s):
                await self._log.stopped(
                    ending.reason, line.now_ms, line.frames, line.dropped, within_s=within_s
                )
                await self._log.write_end()
        known = ending.reason in ("stop", "closed", "lost")
        metrics.ended.labels(ending.reason if known else "refused").inc()
        self._notes.info(
            "leg ended",
            leg=self._log.leg,
            reason=ending.reason,
            frames=line.frames,
            dropped_frames=line.dropped,
        )
        await asyncio.wait([closing])

    async def _refuse(self, code: int, reason: str) -> None:
        metrics.refused.labels(reason).inc()
        self._notes.warning("socket refused", reason=reason)
        self.over(Ending(reason, code, reason))
        await self._socket.close(code, reason)

    async def _hand_off(self, within_s: float) -> None:
        moment, latest_ms = QuietMoment(), clock.monotonic_ms() + round(1000 * within_s)
        seen_ms = self.line_in.now_ms
        while (now_ms := clock.monotonic_ms()) < latest_ms:
            said = self.line_in.ring.newest(self.line_in.now_ms - seen_ms)
            seen_ms = self.line_in.now_ms
            quiet = moment.has_come(now_ms, self.line_out.remaining_ms, said)
            if quiet and self._house.legs.turns.taken(now_ms):
                self.end("handoff")
                return
            await asyncio.sleep(LOOK_MS / 1000)
        self.end("handoff", within_s=0)

    async def _play_out_and_close(self, intent: Intent, within_s: float | None) -> None:
        self.line_out.begin_end()
        cap_s = self.line_out.remaining_ms / 1000 + PLAYED_OUT_CAP_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(cap_s if within_s is None else min(cap_s, within_s)):
                await self.line_out.wait_played_out()
        await self._log.closing(intent, self.line_in.now_ms, within_s=self._last_words_s())
        self.over(Ending("closed", text=intent))

    def _last_words_s(self) -> float:
        return LAST_WORDS_S if self._house.reach.near.is_set() else 0.0

    async def _stream_started(self, message: Message) -> None:
        sequence = int((message.headers or {}).get(REPUBLISHED_SEQUENCE, "0"))
        self._newest_leg = max(self._newest_leg, sequence)
        self._check_newest()

    def _check_newest(self) -> None:
        if 0 < self._log.leg < self._newest_leg:
            self.over(Ending("closed", text="a newer stream carries the call"))

    async def _watching(self) -> None:
        """A socket that gives or takes nothing is given up."""
        frames, silent_s = -1, 0
        while not self.outgoing.stuck.is_set() and silent_s < SILENT_AFTER_S:
            frames, silent_s = (
                self.line_in.frames,
                (silent_s + 1 if frames == self.line_in.frames else 0),
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.outgoing.stuck.wait()
        self.over(Ending("lost", text="the socket is stuck"))

    async def _rereading(self, back: asyncio.Event) -> None:
        """Events may have been missed while NATS was away: read the last ones again."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REREAD_S):
                    await back.wait()
            if not back.is_set() and not self._holder.nameless:
                continue
            back.clear()
            try:
                last = await CallLog(self._house.bus).last(self.call, "stream_started")
                self._newest_leg = Leg(last.sequence) if last is not None else Leg(0)
                self._check_newest()
                await self._holder.reread()
            except NatsAway:
                back.set()
                await asyncio.sleep(1)

    async def _retelling(self, back: asyncio.Event) -> None:
        """Tell the holder again what it may have missed while NATS was away; until it answers, for
        it may be back later than we.
        """
        while True:
            await back.wait()
            back.clear()
            for pause_s in RETELL_S:
                await asyncio.sleep(pause_s)
                self.line_in.retell()
                self.line_out.retell()
                if pause_s and await self._holder.rejoin():
                    break
