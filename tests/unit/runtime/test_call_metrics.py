"""What the events of calls count as."""

from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import REGISTRY

from protocol import events
from protocol.events import AnyEvent
from protocol.ids import CallId, Epoch, EventId, Leg
from runtime import call_metrics


def made(kind: type[AnyEvent], **fields: Any) -> Any:
    return kind(
        id=EventId("e"),
        call_id=CallId("CA" + "1" * 32),
        at=datetime(2026, 11, 22, tzinfo=UTC),
        service="s",
        worker="w",
        **fields,
    )


def usage(cost: float | None) -> Any:
    return made(
        events.UsageReported,
        epoch=Epoch(1),
        source="response",
        reference="r",
        model="m",
        tokens=events.Tokens(),
        cost_usd=cost,
    )


def session(generation: int) -> Any:
    return made(
        events.SessionOpened,
        epoch=Epoch(1),
        generation=generation,
        session_id="s",
        model="m",
        profile="p",
        profile_sha256="0",
        instructions="",
        voice="v",
        language="en",
        tools=(),
    )


def taken(reason: str) -> Any:
    return made(events.Assigned, leg=Leg(1), previous_epoch=Epoch(0), reason=reason)


@pytest.mark.parametrize(
    ("event", "name", "labels", "by"),
    [
        (
            made(events.CallEnded, reason="busy"),
            "trunkline_calls_ended_total",
            {"reason": "busy"},
            1,
        ),
        (usage(0.25), "trunkline_cost_usd_total", {"source": "response"}, 0.25),
        (usage(0.0), "trunkline_cost_unknown_total", {}, 0),
        (usage(None), "trunkline_cost_unknown_total", {}, 1),
        (taken("takeover"), "trunkline_restores_total", {"how": "takeover"}, 1),
        (taken("handover"), "trunkline_restores_total", {"how": "handover"}, 1),
        (session(2), "trunkline_restores_total", {"how": "session"}, 1),
        (session(1), "trunkline_restores_total", {"how": "session"}, 0),
    ],
)
def test_an_event_counts(event: Any, name: str, labels: dict[str, str], by: float) -> None:
    def value() -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    before = value()
    call_metrics.count(event)
    assert value() == pytest.approx(before + by)


def test_a_call_that_is_placed_is_no_restore() -> None:
    call_metrics.count(taken("placed"))
    assert REGISTRY.get_sample_value("trunkline_restores_total", {"how": "placed"}) is None
