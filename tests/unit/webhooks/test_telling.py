"""A call in plain sentences."""

from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest

from protocol import events as e
from protocol import ids
from protocol.event_base import EndReason
from protocol.ids import CallId
from webhooks.telling import ENDS, NEVER_TALKED, STATUSES, TAKEN, sentence

COMMON: dict[str, Any] = {
    "id": ids.new_event_id(),
    "call_id": CallId("CA" + "1" * 32),
    "at": datetime(2026, 11, 22, tzinfo=UTC),
    "service": "webhooks",
    "worker": "w1",
}


def test_every_end_has_a_sentence() -> None:
    assert set(ENDS) == set(get_args(EndReason))
    for reason in get_args(EndReason):
        said = sentence(e.CallEnded(**COMMON, reason=reason))
        assert said == f"The call is over: {ENDS[reason]}."
    assert set(get_args(EndReason)) >= NEVER_TALKED


def test_every_way_of_being_taken_has_a_sentence() -> None:
    hints = {field.name: field.type for field in msgspec.structs.fields(e.Assigned)}
    assert set(TAKEN) == set(get_args(hints["reason"]))


@pytest.mark.parametrize(
    ("status", "said"),
    [
        *STATUSES.items(),
        ("completed", None),
        ("queued", None),
    ],
)
def test_how_it_stands_in_twilios_words(status: str, said: str | None) -> None:
    assert sentence(e.StatusChanged(**COMMON, status=status)) == said


def test_what_happens_on_the_line() -> None:
    machine = e.MachineDetected(**COMMON, answered_by="machine_end_beep")
    assert sentence(machine) == "Who answered, by Twilio's ear: machine end beep."
    line: dict[str, Any] = {"stream_id": ids.StreamId("MZ1"), "ingress": ids.IngressId("i1")}
    first = e.StreamStarted(**COMMON, **line, previous_leg=ids.Leg(0))
    again = e.StreamStarted(**COMMON, **line, previous_leg=ids.Leg(7))
    assert sentence(first) == "The line is open."
    assert sentence(again) == "The line is back, on a new media socket."
    assert sentence(e.Ringing(**COMMON, caller="+15550100001", called="+15550100002")) is None


def test_words_are_shown_only_when_asked_for() -> None:
    epoch = ids.Epoch(5)
    heard = e.TurnTranscribed(**COMMON, epoch=epoch, item_id=ids.ItemId("i"), text="hello")
    assert sentence(heard) is None
    assert sentence(heard, words=True) == "  caller:    hello"
    said = e.Said(
        **COMMON,
        epoch=epoch,
        item_id=ids.ItemId("i"),
        response_id="r",
        text="Good day.",
        generated_ms=900,
        done=True,
    )
    assert sentence(said) is None
    assert sentence(said, words=True) == "  assistant: Good day."
