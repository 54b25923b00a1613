"""What is counted and traced of events that the log took, on a real JetStream."""

from collections.abc import Iterator

import msgspec
import pytest
from prometheus_client import REGISTRY

from protocol import events as e
from protocol.ids import EventId
from runtime import tracing
from runtime.bus import Bus
from runtime.held_spans import Span
from runtime.outbox import publish, take


class Sent:
    """An exporter that keeps what it gets."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def send(self, span: Span) -> None:
        self.spans.append(span)

    def answered(self, span: object) -> None:
        raise AssertionError("nobody asked")

    def stop(self) -> None:
        pass


@pytest.fixture
def sent() -> Iterator[Sent]:
    exporter = Sent()
    tracing.use(exporter)
    yield exporter
    tracing.use(None)


def unpriced() -> float:
    return REGISTRY.get_sample_value("trunkline_cost_unknown_total") or 0


def ended() -> float:
    return REGISTRY.get_sample_value("trunkline_calls_ended_total", {"reason": "lost"}) or 0


def the_end(ringing: e.Ringing) -> e.CallEnded:
    return e.CallEnded(
        id=EventId(f"{ringing.id}-end"),
        call_id=ringing.call_id,
        at=ringing.at,
        service="stream-ingress",
        worker="ingress-1",
        reason="lost",
    )


async def test_an_event_that_is_published_twice_counts_once(bus: Bus, peer: Bus, events) -> None:
    before = unpriced()
    usage = events.usage(1)
    await publish(bus, usage)
    await publish(peer, usage)
    assert unpriced() == before + 1


async def test_only_the_end_that_the_log_took_counts(bus: Bus, peer: Bus, events) -> None:
    before = ended()
    first = the_end(events.ringing())
    second = msgspec.structs.replace(first, id=EventId("another"))
    assert await take(bus, first, expected=0) is not None
    assert await take(peer, second, expected=0) is None
    assert ended() == before + 1


async def test_who_writes_the_end_tells_of_the_whole_call(
    bus: Bus, peer: Bus, events, sent: Sent
) -> None:
    """Also where another process heard it ring: its time is in the log."""
    ringing = events.ringing()
    tracing.use(None)
    await publish(peer, ringing)
    tracing.use(sent)
    assert await take(bus, the_end(ringing), expected=0) is not None
    (call,) = sent.spans
    assert (call.name, call.parent, call.began) == ("call", None, ringing.at)


async def test_an_end_without_a_beginning_makes_no_span_and_harms_nobody(
    bus: Bus, events, sent: Sent
) -> None:
    assert await take(bus, the_end(events.ringing()), expected=0) is not None
    assert sent.spans == []


async def test_of_two_who_take_a_call_one_has_an_assignment(
    bus: Bus, peer: Bus, events, sent: Sent
) -> None:
    epoch = await take(bus, events.assigned(0, worker="w1"), expected=0)
    assert epoch is not None
    assert await take(peer, events.assigned(0, worker="w2"), expected=0) is None
    for each in (epoch, epoch + 1):
        tracing.left(events.call, each)
    (assignment,) = sent.spans
    assert assignment.attributes["trunkline.worker"] == "w1"
