"""A line end with what ingress keeps of a call: the ring of the caller's audio, and the ledger."""

import contextlib
from collections.abc import AsyncIterator

from line_end import LineEnd

from protocol import codec, line, subjects
from protocol.audio import BYTES_PER_MS
from protocol.events import CallEnded
from protocol.ids import Epoch, IngressId, WorkerId
from protocol.placement import (
    Accepted,
    AssignCall,
    AssignReply,
    Replay,
    ReplayRequest,
    RingedAudio,
)
from runtime.outbox import take


class RingedLine(LineEnd):
    """``played``: of each item, how much the caller heard; the rest is still with the line."""

    def __init__(self, bus, **options) -> None:
        super().__init__(bus, **options)
        self.frames: list[tuple[int, bytes]] = []
        self.complete: set[str] = set()
        self.played: dict[str, int] = {}

    async def speak(self, ms: int, frame: bytes = b"") -> None:
        frame = frame or (b"\x10" * 8 + b"\x90" * 8) * 10
        self.frames += [(self.line_ms + at, frame) for at in range(0, ms // 20 * 20, 20)]
        await super().speak(ms, frame)

    def ledger(self) -> tuple[line.Playhead, ...]:
        """Every item of this line."""
        found = []
        for item, audio in self.audio.items():
            sent_ms = len(audio) // BYTES_PER_MS
            heard_ms = sent_ms if self.hears else self.played.get(item, 0)
            complete = item in self.complete
            done = complete and heard_ms == sent_ms
            found.append(line.Playhead(item, heard_ms, done, sent_ms, complete))
        return tuple(found)

    async def taken_over(self, worker: str, previous: int) -> Accepted:
        """The holder under ``previous`` is gone: another one takes the call as it stands."""
        request = AssignCall(
            self.call,
            self.leg,
            IngressId("ingress-test"),
            Epoch(previous),
            ring_from_ms=0,
            items=self.ledger(),
        )
        subject = subjects.agent_assign(WorkerId(worker))
        reply = await self.bus.request(subject, request, AssignReply, timeout=3)
        assert isinstance(reply, Accepted), reply
        await self.bus.publish(subjects.in_clock(self.call, self.leg), line.Clock(self.line_ms))
        return reply

    async def _out(self, message) -> None:
        if message.subject.endswith(".done"):
            self.complete.add(codec.decode(line.ItemDone, message.data).item_id)
        await super()._out(message)

    async def _replay(self, message) -> None:
        wanted = codec.decode(ReplayRequest, message.data)
        pieces = tuple(
            RingedAudio(at, frame)
            for at, frame in self.frames
            if wanted.from_ms <= at < wanted.to_ms
        )
        await self.bus.publish(message.reply, Replay(pieces, ()))


@contextlib.asynccontextmanager
async def ringed_line(bus, **options) -> AsyncIterator[RingedLine]:
    """An opened one that hangs up and cleans up at the end of the block."""
    end = RingedLine(bus, **options)
    await end.open()
    try:
        yield end
    finally:
        ended = CallEnded(**end.stamp("stream-ingress"), reason="caller_hung_up")
        await take(bus, ended, expected=0)
        await end.close()


def told(connection) -> list[tuple[str, str]]:
    """What a session was told of the call so far: who, and the words or the tool."""
    found = []
    for event in connection.received:
        if event["type"] == "conversation.item.create":
            item = event["item"]
            text = item["content"][0]["text"] if "content" in item else item["call_id"]
            found.append((item.get("role") or item["type"], text))
    return found
