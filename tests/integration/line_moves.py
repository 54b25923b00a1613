"""What ingress asks of the worker that holds a call, for tests of ai-agent: is it alive, and go on
on a new line.
"""

from line_end import LineEnd

from protocol import subjects
from protocol.events import Assigned, HandingOver, StreamStarted, StreamStopped
from protocol.ids import Epoch, IngressId, Leg, StreamId, WorkerId
from protocol.placement import (
    AssignCall,
    AssignReply,
    AttachCall,
    PingCalls,
    PingReply,
    PrepareCall,
    PrepareReply,
)
from runtime.outbox import publish, take

INGRESS = IngressId("ingress-test")


async def ping(end: LineEnd, worker: str, epoch: int) -> PingReply:
    return await end.bus.request(
        subjects.agent_ping(WorkerId(worker)),
        PingCalls({end.call: Epoch(epoch)}),
        PingReply,
        timeout=5,
    )


async def holds(end: LineEnd, worker: str, epoch: int) -> bool:
    return not (await ping(end, worker, epoch)).lost


async def stop_line(end: LineEnd, *, reason: str = "lost") -> None:
    """The socket is gone, and its ingress says so."""
    stopped = StreamStopped(
        **end.stamp("stream-ingress"), leg=end.leg, reason=reason, line_ms=end.line_ms
    )
    await publish(end.bus, stopped)


async def new_line(end: LineEnd, line_ms: int) -> Leg:
    """The call gets another socket, whose first frame lies at ``line_ms``; gives the leg before."""
    before = end.leg
    started = StreamStarted(
        **end.stamp("stream-ingress"),
        stream_id=StreamId("MZ" + "1" * 32),
        ingress=INGRESS,
        previous_leg=before,
        line_ms=line_ms,
    )
    leg = await take(end.bus, started, expected=before)
    assert leg
    end.leg, end.line_ms = Leg(leg), line_ms
    return before


async def attach(
    end: LineEnd, worker: str, epoch: int, *, before: int = 0, ring_from_ms: int = 0
) -> AssignReply:
    request = AttachCall(
        end.call, Epoch(epoch), end.leg, INGRESS, Leg(before), ring_from_ms=ring_from_ms
    )
    return await end.bus.request(
        subjects.agent_attach(WorkerId(worker)), request, AssignReply, timeout=5
    )


async def takeover(end: LineEnd, worker: str, previous: int, *, leg: int = 0) -> AssignReply:
    request = AssignCall(
        end.call, Leg(leg) or end.leg, INGRESS, Epoch(previous), ring_from_ms=end.line_ms
    )
    return await end.bus.request(
        subjects.agent_assign(WorkerId(worker)), request, AssignReply, timeout=5
    )


async def prepare(end: LineEnd, worker: str, epoch: int, holder: str) -> PrepareReply:
    request = PrepareCall(end.call, Epoch(epoch), WorkerId(holder), end.leg, INGRESS)
    return await end.bus.request(
        subjects.agent_prepare(WorkerId(worker)), request, PrepareReply, timeout=10
    )


async def held_by_hand(end: LineEnd, *, previous: int = 0) -> Epoch:
    """A worker that exists only in the log takes the call."""
    event = Assigned(**end.stamp("ai-agent"), leg=end.leg, previous_epoch=Epoch(previous))
    epoch = await take(end.bus, event, expected=previous)
    assert epoch
    return Epoch(epoch)


async def hand_over(end: LineEnd, epoch: int, successor: str) -> None:
    """That worker offers the call."""
    event = HandingOver(
        **end.stamp("ai-agent"),
        epoch=Epoch(epoch),
        line_ms=end.line_ms,
        successor=WorkerId(successor),
    )
    await publish(end.bus, event)
