"""Subjects are valid, name one place each, and match the patterns that should catch them."""

import inspect
import re
from collections.abc import Callable

import pytest

from protocol import streams, subjects
from protocol.ids import CallerId, CallId, Epoch, IngressId, Leg, WorkerId

CALL = CallId("CA" + "0af1" * 8)
OTHER = CallId("CA" + "9bc2" * 8)
EXAMPLES: dict[str, object] = {
    "call": CALL,
    "name": "tool_called",
    "leg": Leg(17),
    "epoch": Epoch(42),
    "worker": WorkerId("ai-agent-7c9f4"),
    "ingress": IngressId("stream-ingress-5d6b7"),
    "caller": CallerId("01jd9x4k7m2p8q5r"),
    "verb": "add",
    "track": "assistant",
}
ACROSS = {"all_logs", "all_events"}
"""Filters over all calls."""
FILTERS = {"call_log", "call_events", "call_ear", "call_recording", "line_in", "line_out"} | ACROSS
TOKEN = re.compile(r"[A-Za-z0-9_$-]+")


def functions() -> dict[str, Callable[..., str]]:
    return {
        name: function
        for name, function in inspect.getmembers(subjects, inspect.isfunction)
        if function.__module__ == subjects.__name__ and name != "parse_call"
    }


def patterns() -> dict[str, str]:
    return {name: text for name, text in vars(subjects).items() if name.startswith("ALL_")}


def call(name: str) -> str:
    function = functions()[name]
    return function(**{p: EXAMPLES[p] for p in inspect.signature(function).parameters})


def matches(pattern: str, subject: str) -> bool:
    """NATS: ``*`` is one token, ``>`` is one or more at the end."""
    wanted, given = pattern.split("."), subject.split(".")
    for i, token in enumerate(wanted):
        if token == ">":
            return i == len(wanted) - 1 and len(given) > i
        if i >= len(given) or token not in ("*", given[i]):
            return False
    return len(wanted) == len(given)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.c", False),
    ],
)
def test_the_matcher_of_this_file(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


@pytest.mark.parametrize("name", sorted(functions().keys() - FILTERS))
def test_a_publish_subject_has_safe_tokens_and_no_wildcard(name: str) -> None:
    subject = call(name)
    assert all(TOKEN.fullmatch(token) for token in subject.split(".")), subject
    for parameter in inspect.signature(functions()[name]).parameters:
        assert str(EXAMPLES[parameter]) in subject.split("."), f"{name} leaves out {parameter}"


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_a_filter_is_valid_and_of_one_call_or_of_all(name: str) -> None:
    subject = call(name)
    assert all(token == "*" or TOKEN.fullmatch(token) for token in subject.split("."))
    assert subject.split(".")[1] == ("*" if name in ACROSS else CALL)


def test_no_two_functions_give_the_same_subject() -> None:
    names = [name for name in functions() if name not in FILTERS]
    made = {call(name) for name in names}
    assert len(made) == len(names)


@pytest.mark.parametrize(
    ("pattern", "caught"),
    [
        ("ALL_LOGS", {"log"}),
        ("ALL_EVENTS", {"event"}),
        ("ALL_LIVE_TRANSCRIPTS", {"live_transcript"}),
        ("ALL_TODO_CHANGES", {"todo_changed"}),
        ("ALL_INGRESS_ALIVE", {"ingress_alive"}),
        ("ALL_LISTEN", {"listen"}),
        ("ALL_RECORDINGS", {"recording"}),
    ],
)
def test_a_pattern_catches_its_function_and_nothing_else(pattern: str, caught: set[str]) -> None:
    text = patterns()[pattern]
    assert {n for n in functions() if n not in FILTERS and matches(text, call(n))} == caught


def test_every_pattern_is_tested_above() -> None:
    assert patterns().keys() == {
        "ALL_LOGS",
        "ALL_EVENTS",
        "ALL_LIVE_TRANSCRIPTS",
        "ALL_INGRESS_ALIVE",
        "ALL_LISTEN",
        "ALL_RECORDINGS",
        "ALL_TODO_CHANGES",
    }


@pytest.mark.parametrize(
    ("name", "caught"),
    [
        ("call_log", {"log"}),
        ("call_events", {"event"}),
        ("line_in", {"in_audio", "in_clock", "in_dtmf", "in_heard", "in_cleared"}),
        ("line_out", {"out_item", "out_audio", "out_done", "out_clear", "out_end", "out_ear"}),
        ("call_ear", {"ear"}),
        ("call_recording", {"recording"}),
    ],
)
def test_a_calls_filter_catches_its_own_and_no_other_call(name: str, caught: set[str]) -> None:
    assert {n for n in functions() if n not in FILTERS and matches(call(name), call(n))} == caught
    other = functions()[name](
        **{
            p: OTHER if p == "call" else EXAMPLES[p]
            for p in inspect.signature(functions()[name]).parameters
        }
    )
    assert not any(matches(other, call(n)) for n in functions() if n not in FILTERS)


def test_the_log_and_recordings_are_kept_and_nothing_else_is() -> None:
    kept = [s for definition in streams.STREAMS for s in definition.subjects]
    assert {
        n for n in functions() if n not in FILTERS and any(matches(s, call(n)) for s in kept)
    } == {"log", "recording"}


def test_an_event_is_republished_where_readers_listen() -> None:
    republish = streams.CALLS.republish
    assert republish is not None
    written = subjects.log(CALL, "said")
    assert matches(republish.source, written)
    wildcards = [
        given
        for pattern, given in zip(republish.source.split("."), written.split("."), strict=True)
        if pattern == "*"
    ]
    destination = republish.destination
    for i, token in enumerate(wildcards, start=1):
        destination = destination.replace(f"{{{{wildcard({i})}}}}", token)
    assert destination == subjects.event(CALL, "said")


def test_a_subject_of_a_call_is_parsed_back() -> None:
    assert subjects.parse_call(subjects.event(CALL, "said")) == (CALL, "event", "said")
    assert subjects.parse_call(subjects.in_audio(CALL, Leg(17))) == (CALL, "in", "17.audio")
