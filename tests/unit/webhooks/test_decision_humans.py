"""A human instead of an apology, what follows a dial, and why a call ended that we changed."""

from typing import Any

import pytest

from protocol import events as e
from protocol.line import Intent
from webhooks.amd import is_machine
from webhooks.decision import (
    ON_ITS_WAY_S,
    RESUMINGS,
    AfterDial,
    Apologise,
    DialHuman,
    HangUp,
    NewStream,
    after_dial,
    end_reason,
)


@pytest.mark.parametrize(("intent", "because"), [("transfer", "transfer"), ("busy", "busy")])
def test_a_human_who_is_there_is_dialled(log: Any, intent: Intent, because: str) -> None:
    log.closing(log.started(), intent)
    assert log.decided(human_there=True) == DialHuman(because)
    assert isinstance(log.decided(), Apologise)


def test_who_may_not_speak_with_the_assistant_is_not_put_through_either(log: Any) -> None:
    log.closing(log.started(), "refused")
    assert log.decided(human_there=True) == Apologise("refused", "refused")


def test_a_human_is_better_than_every_apology(log: Any) -> None:
    assert log.decided(human_there=True) == DialHuman("unavailable")
    leg = log.started()
    for n in range(RESUMINGS):
        after_s = n * ON_ITS_WAY_S
        assert isinstance(log.decided(after_s=after_s, human_there=True), NewStream)
        log.resuming(after_s, leg)
    after_s = RESUMINGS * ON_ITS_WAY_S
    assert log.decided(after_s=after_s, human_there=True) == DialHuman("lost")


def test_a_human_is_not_dialled_where_there_is_nothing_to_apologise_for(log: Any) -> None:
    leg = log.started()
    assert isinstance(log.decided(human_there=True), NewStream)
    assert log.decided(status="completed", human_there=True) == HangUp("caller_hung_up")
    log.closing(leg, "hangup")
    assert log.decided(human_there=True) == HangUp("assistant_hung_up")
    log.ended()
    assert log.decided(human_there=True) == HangUp(None)


@pytest.mark.parametrize("started", [False, True])
def test_a_browser_call_is_not_dialled_anywhere(log: Any, started: bool) -> None:
    log.rang(channel="browser")
    if started:
        log.closing(log.started(channel="browser"), "transfer")
    assert isinstance(log.decided(human_there=True), Apologise)


@pytest.mark.parametrize(
    ("status", "call_status", "expected"),
    [
        ("completed", "in-progress", AfterDial("transferred", answered=True)),
        ("completed", "completed", AfterDial("transferred", answered=True)),
        ("answered", "in-progress", AfterDial("transferred", answered=True)),
        ("no-answer", "in-progress", AfterDial("failed")),
        ("busy", "in-progress", AfterDial("failed")),
        ("failed", "in-progress", AfterDial("failed")),
        ("", "in-progress", AfterDial("failed")),
        ("canceled", "completed", AfterDial("caller_hung_up", over=True)),
    ],
)
def test_after_a_dial(status: str, call_status: str, expected: AfterDial) -> None:
    assert after_dial(status, call_status=call_status) == expected


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["transferred"], "transferred"),
        (["transferred", ("dial_ended", "completed")], "transferred"),
        (["transferred", ("dial_ended", "no-answer")], "failed"),
        ([("redirecting", "transfer")], "caller_hung_up"),
        ([("redirecting", "transfer"), "transferred"], "transferred"),
        ([("redirecting", "hang_up")], "assistant_hung_up"),
        ([("redirecting", "machine")], "assistant_hung_up"),
        (["transferred", ("redirecting", "machine"), "started"], "caller_hung_up"),
    ],
)
def test_why_a_call_that_we_changed_is_completed(
    log: Any, steps: list[Any], reason: e.EndReason
) -> None:
    log.started()
    for step in steps:
        name, arguments = (step, ()) if isinstance(step, str) else (step[0], step[1:])
        getattr(log, name)(*arguments)
    assert end_reason("completed", log.story) == reason


@pytest.mark.parametrize(("intent", "reason"), [("transfer", "failed"), ("busy", "busy")])
def test_why_a_call_is_completed_whose_human_was_not_dialled(
    log: Any, intent: Intent, reason: e.EndReason
) -> None:
    log.closing(log.started(), intent)
    log.dial_ended("not_allowed")
    assert end_reason("completed", log.story) == reason


def test_a_call_is_known_by_any_event(log: Any) -> None:
    assert not log.story.known
    log.redirecting("hang_up")
    assert log.story.known


@pytest.mark.parametrize(
    ("answered_by", "machine"),
    [
        ("machine_start", True),
        ("machine_end_beep", True),
        ("fax", True),
        ("human", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_what_is_a_machine(answered_by: str, machine: bool) -> None:
    assert is_machine(answered_by) is machine
