"""holder: whatever dies, in whatever order the news of it come, the call ends up with the worker
that holds it in the log, and the line hears that one alone.
"""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.ids import CallId, Epoch, Leg, WorkerId
from stream_ingress import holder
from stream_ingress.holder import Holder
from stream_ingress.line_in import LineIn
from stream_ingress.line_out import LineOut, Reports
from stream_ingress.metrics import Tally
from stream_ingress.outgoing import Outgoing
from stream_ingress.placement import Placed
from stream_ingress.pulse import Pulse
from stream_ingress.uplink import Uplink

CALL = CallId("CA" + "1" * 32)
WORKERS = ("a", "b", "c")
OLD_LEG, LEG = Leg(3), Leg(5)


def at_once(work: Coroutine) -> None:
    """Run what waits for nothing but its own pauses."""
    try:
        for _ in range(100):
            work.send(None)
    except StopIteration:
        return
    raise AssertionError("it never ended")


class Bus:
    connected = True

    async def publish(self, subject: str, message: object) -> None: ...

    async def subscribe(self, subject: str, handler: Callable, **quick: Callable) -> None: ...


class Log:
    """The log and its workers: who took the call, who is alive, who hears our leg."""

    def __init__(self) -> None:
        self.taken: list[Placed] = []
        self.alive = set(WORKERS)
        self.hears: dict[str, Leg] = {}
        self.sequence = 10

    def take(self, worker: str, leg: Leg) -> Placed:
        self.sequence += 10
        self.taken.append(Placed(Epoch(self.sequence), WorkerId(worker), leg))
        self.hears[worker] = leg
        return self.taken[-1]

    # -- what a Holder uses of placement.Agents

    async def holder(self, call: CallId) -> Placed | None:
        return self.taken[-1] if self.taken else None

    async def attach(self, worker: str, request) -> str:
        if worker not in self.alive:
            return "silent"
        last = self.taken[-1]
        if last.worker != worker or last.epoch != request.epoch:
            return "taken" if last.epoch > request.epoch else "not_held"
        self.hears[worker] = request.leg
        return "accepted"

    async def place(self, describe, wanted, *, avoid=None) -> Placed | None:
        request = describe()
        able = sorted(self.alive, key=lambda worker: (worker == avoid, worker))
        if not wanted() or not able:
            return None
        last = self.taken[-1].epoch if self.taken else 0
        if last != request.previous_epoch:
            return self.taken[-1]
        if self.taken and able[0] == self.taken[-1].worker and self.hears[able[0]]:
            self.hears[able[0]] = request.leg  # a false alarm
            return Placed(last, WorkerId(able[0]), request.leg)
        return self.take(able[0], request.leg)


class Calls(RuleBasedStateMachine):
    """One leg of a call, and everything that may happen behind it."""

    @initialize(second=st.booleans())
    def begin(self, second: bool) -> None:
        self.patch = mock.patch.object(holder, "RETRY_S", 0)  # needs no loop, no time
        self.patch.start()
        self.log, self.ended, self.news = Log(), [], []
        if second:
            self.log.take("a", OLD_LEG)
        near = asyncio.Event()
        near.set()
        house = SimpleNamespace(
            bus=Bus(),
            name="ingress-1",
            agents=self.log,
            reach=SimpleNamespace(near=near),
            place_for_s=20.0,
        )
        tally = Tally()
        uplink = Uplink(house.bus, Pulse())
        line_in = LineIn(uplink, CALL, 0, tally, batch_bytes=320)
        self.line = LineOut(
            uplink,
            CALL,
            Outgoing(SimpleNamespace(writable=False), "MZ1"),
            lambda: 0,
            Reports(
                lambda _: None,
                self.ended.append,
                lambda epoch: self.holder.spoke(epoch),
                lambda _: None,
            ),
            tally,
        )
        patience = SimpleNamespace(was_held=False, held=lambda *, held: None)
        self.holder = Holder(
            house, CALL, line_in, self.line, patience, end=self.ended.append, over=lambda: False
        )
        at_once(self.holder.begin(LEG, previous_leg=OLD_LEG if second else Leg(0)))
        self.seen = 0

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.stop()

    def told(self, placed: Placed) -> None:
        self.news.append(placed)

    @rule(worker=st.sampled_from(WORKERS), leg=st.sampled_from([OLD_LEG, LEG]))
    def somebody_else_takes_the_call(self, worker: str, leg: Leg) -> None:
        """A handover, or a takeover by an ingress of the past."""
        if worker in self.log.alive and self.log.taken:
            self.told(self.log.take(worker, leg))

    @rule(worker=st.sampled_from(WORKERS))
    def a_worker_dies(self, worker: str) -> None:
        if len(self.log.alive) > 1:
            self.log.alive.discard(worker)
            self.log.hears.pop(worker, None)

    @rule(worker=st.sampled_from(WORKERS))
    def a_worker_comes_back_without_its_calls(self, worker: str) -> None:
        if worker not in self.log.alive:
            self.log.alive.add(worker)
            self.log.hears[worker] = Leg(0)

    @precondition(lambda self: getattr(self, "news", None))
    @rule(data=st.data(), lost=st.booleans())
    def news_come_in_any_order(self, data, lost: bool) -> None:
        placed = self.news.pop(data.draw(st.integers(0, len(self.news) - 1)))
        if not lost:
            at_once(self.holder._take_note(placed))

    @precondition(lambda self: getattr(self, "news", None))
    @rule(data=st.data())
    def a_new_holder_speaks_before_the_news(self, data) -> None:
        placed = data.draw(st.sampled_from(self.news))
        message = SimpleNamespace(
            subject=f"call.{CALL}.out.{placed.epoch}.item", data=b'{"item_id":"i"}'
        )
        self.line.handle(message)

    @rule(epoch=st.integers(1, 20).map(lambda n: n * 10))
    def the_pinger_is_late(self, epoch: int) -> None:
        if not self.log.taken or epoch < self.log.taken[-1].epoch:
            self.holder.lost(Epoch(epoch), "silent")

    @rule()
    def a_false_alarm(self) -> None:
        self.holder.lost(self.holder.epoch, "silent")

    def ping(self) -> None:
        worker, last = self.holder.worker, self.log.taken[-1] if self.log.taken else None
        if worker is None or last is None:
            return
        if worker not in self.log.alive:
            self.holder.lost(self.holder.epoch, "gone")
        elif last.epoch != self.holder.epoch or not self.log.hears[worker]:
            self.holder.lost(self.holder.epoch, "lost")

    @rule()
    def the_pinger_asks(self) -> None:
        self.ping()

    @rule()
    def it_seeks(self) -> None:
        at_once(self.seek_once())

    async def seek_once(self) -> None:
        if not self.holder._held.is_set():
            await self.holder._find()

    @rule()
    def everything_settles(self) -> None:
        """All news come, the pinger has time to look twice, and the log is read again once."""
        for placed in self.news:
            at_once(self.holder._take_note(placed))
        self.news.clear()
        at_once(self.seek_once())
        at_once(self.holder.reread())
        for _ in range(3):
            self.ping()
            at_once(self.seek_once())
        last = self.log.taken[-1]
        assert self.holder.worker == last.worker
        assert self.holder.worker in self.log.alive
        assert self.holder.epoch == last.epoch == self.line._epoch
        assert self.log.hears[last.worker] == LEG, "it hears another line"

    @invariant()
    def nobody_older_is_obeyed_again(self) -> None:
        if hasattr(self, "holder"):
            assert self.holder.epoch >= self.seen
            self.seen = self.holder.epoch
            if self.holder.worker is not None:
                assert self.line._epoch >= self.holder.epoch
            assert self.ended == []


TestCalls = Calls.TestCase
TestCalls.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
