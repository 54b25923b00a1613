"""Taking a call: the lock of the log, seen from a worker."""

from ai_agent.worker import Worker
from protocol.events import Assigned
from protocol.ids import CallId, Epoch, Leg, new_event_id
from protocol.placement import AssignCall
from runtime import clock
from runtime.calllog import CallLog
from runtime.outbox import take


def assigned(worker: Worker, request: AssignCall, *, handover: bool = False) -> Assigned:
    """The event by which ``worker`` takes the call of ``request``."""
    taken_over = "handover" if handover else "takeover"
    return Assigned(
        id=new_event_id(),
        call_id=request.call,
        at=clock.utc_now(),
        service="ai-agent",
        worker=worker.name,
        leg=request.leg,
        previous_epoch=request.previous_epoch,
        reason=taken_over if request.previous_epoch else "placed",
    )


async def taken(worker: Worker, event: Assigned) -> Epoch | None:
    """Write ``event``; the epoch, or None when somebody else holds the call. Raises NatsAway."""
    epoch = await take(worker.bus, event, expected=event.previous_epoch)
    return None if epoch is None else Epoch(epoch)


async def newest_leg(worker: Worker, call: CallId) -> Leg:
    """The line the call has now; 0: none. Raises NatsAway."""
    started = await CallLog(worker.bus).last(call, "stream_started")
    return Leg(0) if started is None else Leg(started.sequence)
