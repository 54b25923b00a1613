"""Ids are safe as tokens of a subject (ADR-6), and one cause gives one event id."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import ids
from protocol.errors import InvalidToken

HEX = "0123456789abcdef" * 2
UNSAFE = [".", "*", ">", " ", "\t", "\n", "\x00", "/", "é", "a.b", "a b", "*.x", "", "x" * 129]


@pytest.mark.parametrize("make", [ids.token, ids.worker_id, ids.ingress_id])
@pytest.mark.parametrize("text", [*UNSAFE, "worker\n", "\u0661"])
def test_what_would_break_a_subject_is_refused(make, text: str) -> None:
    with pytest.raises(InvalidToken):
        make(text)


@given(st.text())
def test_an_accepted_token_is_one_token_of_a_subject(text: str) -> None:
    try:
        token = ids.token(text)
    except InvalidToken:
        return
    assert token == text
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,128}", token, re.ASCII)


@given(st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True))
def test_every_safe_token_is_accepted(text: str) -> None:
    assert ids.token(text) == text


@pytest.mark.parametrize(("make", "prefix"), [(ids.call_id, "CA"), (ids.stream_id, "MZ")])
def test_twilios_ids(make, prefix: str) -> None:
    assert make(prefix + HEX) == prefix + HEX
    for wrong in (
        "",
        prefix,
        HEX,
        prefix + HEX[:-1],
        prefix + HEX + "0",
        prefix + HEX.upper(),
        prefix.lower() + HEX,
        "SM" + HEX,
        prefix + HEX + "\n",
        " " + prefix + HEX,
        prefix + "g" * 32,
        prefix + HEX[:-2] + ".*",
    ):
        with pytest.raises(InvalidToken):
            make(wrong)


def test_an_error_does_not_repeat_what_was_sent() -> None:
    with pytest.raises(InvalidToken) as caught:
        ids.call_id("+447700900123")
    assert "447700900123" not in str(caught.value)


def test_our_own_ids_are_valid_and_differ() -> None:
    calls = {ids.call_id(ids.new_call_id()) for _ in range(50)}
    events = {ids.token(ids.new_event_id()) for _ in range(50)}
    assert len(calls) == 50
    assert len(events) == 50


@given(
    st.lists(st.text(alphabet=st.characters(exclude_characters="\x1f", codec="utf-8")), min_size=1)
)
def test_the_same_cause_gives_the_same_event_id(cause: list[str]) -> None:
    assert ids.caused_event_id(*cause) == ids.caused_event_id(*cause)
    ids.token(ids.caused_event_id(*cause))
    assert ids.caused_event_id(*cause, "again") != ids.caused_event_id(*cause)


def test_where_a_cause_is_split_matters() -> None:
    assert ids.caused_event_id("ab", "c") != ids.caused_event_id("a", "bc")


def test_a_caused_id_is_the_same_in_every_process_and_version() -> None:
    assert ids.caused_event_id("status", "CA1", "completed") == "a0207c97133250cdbd62831112cda083"
