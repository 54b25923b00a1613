"""The other end of a call's line for tests of ai-agent: what ingress would do, by hand and
recorded.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from protocol import codec, line, subjects
from protocol.audio import BYTES_PER_MS
from protocol.events import CallEnded, Ringing, StreamStarted
from protocol.ids import (
    CallId,
    Epoch,
    IngressId,
    Leg,
    StreamId,
    WorkerId,
    new_call_id,
    new_event_id,
)
from protocol.placement import AssignCall, AssignReply, Replay, ReplayRequest
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.outbox import take

SILENCE = b"\xff" * 160
SPEECH = (b"\x10" * 8 + b"\x90" * 8) * 10  # loud 500 Hz square wave, 20 ms


class LineEnd:
    """One call. Plays what it is told at once: an item counts as heard when it was sent, if
    ``hears``.
    """

    def __init__(self, bus: Bus, *, hears: bool = True) -> None:
        self.bus = bus
        self.call: CallId = new_call_id()
        self.leg = Leg(0)
        self.hears = hears
        self.line_ms = 0
        self.audio: dict[str, bytearray] = {}
        self.kinds: list[str] = []
        self.ends: list[str] = []
        self.clears: list[int] = []
        self.ears: list[line.OpenEar] = []
        self.playing = ""
        self.epochs: set[int] = set()
        self.ring: Replay | None = None
        self._subscribed = []

    async def open(self, *, caller: str = "+15550100001", called: str = "+15550100002") -> None:
        ringing = Ringing(**self.stamp("webhooks"), caller=caller, called=called)
        assert await take(self.bus, ringing, expected=0)
        started = StreamStarted(
            **self.stamp("stream-ingress"),
            stream_id=StreamId("MZ" + "0" * 32),
            ingress=IngressId("ingress-test"),
            previous_leg=Leg(0),
        )
        leg = await take(self.bus, started, expected=0)
        assert leg
        self.leg = Leg(leg)
        self._subscribed = [
            await self.bus.subscribe(subjects.line_out(self.call), self._out),
            await self.bus.subscribe(
                subjects.ingress_replay(IngressId("ingress-test")), self._replay
            ),
        ]
        await self.bus.settle()

    def stamp(self, service: str) -> dict:
        return {
            "id": new_event_id(),
            "call_id": self.call,
            "at": utc_now(),
            "service": service,
            "worker": "test",
        }

    async def assign(self, worker: str, *, previous: int = 0, timeout: float = 3) -> AssignReply:
        request = AssignCall(
            self.call, self.leg, IngressId("ingress-test"), Epoch(previous), ring_from_ms=0
        )
        return await self.bus.request(
            subjects.agent_assign(WorkerId(worker)), request, AssignReply, timeout=timeout
        )

    async def speak(self, ms: int, frame: bytes = SPEECH) -> None:
        """``ms`` of caller audio, faster than real time, with a clock before it."""
        await self.bus.publish(subjects.in_clock(self.call, self.leg), line.Clock(self.line_ms))
        for _ in range(ms // 20):
            await self.bus.publish_audio(subjects.in_audio(self.call, self.leg), frame)
            self.line_ms += 20

    async def turn(self, ms: int = 600) -> None:
        """A spoken turn with the silence that ends it."""
        await self.speak(ms)
        await self.speak(800, SILENCE)

    async def heard(self, item: str, ms: int, *, done: bool) -> None:
        await self.bus.publish(
            subjects.in_heard(self.call, self.leg), line.Heard(item, ms, done, self.line_ms + ms)
        )

    async def cleared(self, n: int, *items: line.Playhead) -> None:
        await self.bus.publish(
            subjects.in_cleared(self.call, self.leg), line.Cleared(n, self.line_ms, items)
        )

    async def key(self, digit: str) -> None:
        await self.bus.publish(
            subjects.in_dtmf(self.call, self.leg), line.Dtmf(digit, self.line_ms)
        )

    async def hang_up(self) -> None:
        ended = CallEnded(**self.stamp("stream-ingress"), reason="caller_hung_up")
        assert await take(self.bus, ended, expected=0)

    async def events(self) -> list[dict]:
        """The call's log as plain values with ``sequence``."""
        found = await CallLog(self.bus).read(self.call)
        return [{**json.loads(codec.encode(e.event)), "sequence": e.sequence} for e in found]

    async def event(self, name: str, /, *, count: int = 1, timeout: float = 20, **fields) -> dict:
        """The ``count``-th event of this name with these fields; waits for it."""
        seen: list[str] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while True:
                    events = await self.events()
                    seen = [e["event"] for e in events]
                    found = [
                        e
                        for e in events
                        if e["event"] == name and all(e[k] == v for k, v in fields.items())
                    ]
                    if len(found) >= count:
                        return found[count - 1]
                    await asyncio.sleep(0.02)
        raise AssertionError(f"no {name} {fields} (x{count}) in the log: {seen}")

    async def until(self, condition, what: str, timeout: float = 20) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition():
                    await asyncio.sleep(0.01)
                return
        raise AssertionError(f"did not come: {what}")

    async def close(self) -> None:
        for subscribed in self._subscribed:
            await subscribed.stop()

    async def _out(self, message) -> None:
        _, _, _, epoch, kind = message.subject.split(".")
        self.epochs.add(int(epoch))
        self.kinds.append(kind)
        if kind == "item":
            self.playing = codec.decode(line.Item, message.data).item_id
            self.audio.setdefault(self.playing, bytearray())
        elif kind == "audio":
            self.audio[self.playing] += message.data
        elif kind == "done":
            item = codec.decode(line.ItemDone, message.data).item_id
            if self.hears:
                await self.heard(item, len(self.audio[item]) // BYTES_PER_MS, done=True)
        elif kind == "clear":
            self.clears.append(codec.decode(line.Clear, message.data).n)
        elif kind == "ear":
            self.ears.append(codec.decode(line.OpenEar, message.data))
        elif kind == "end":
            self.ends.append(codec.decode(line.End, message.data).intent)

    async def _replay(self, message) -> None:
        codec.decode(ReplayRequest, message.data)
        await self.bus.publish(message.reply, self.ring or Replay((), ()))


@contextlib.asynccontextmanager
async def line_end(bus: Bus, **options) -> AsyncIterator[LineEnd]:
    """An opened LineEnd that hangs up and cleans up at the end of the block."""
    end = LineEnd(bus, **options)
    await end.open()
    try:
        yield end
    finally:
        ended = CallEnded(**end.stamp("stream-ingress"), reason="caller_hung_up")
        await take(bus, ended, expected=0)
        await end.close()
