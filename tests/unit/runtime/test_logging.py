"""Logs: valid JSON lines that hold neither the text of an exception nor personal data."""

import asyncio
import io
import json
import logging as stdlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from protocol.ids import CallId
from runtime import logging

PRIVATE = "+447700900123"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is written to stderr; puts logging back as it was."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = stdlib.getLogger()
    before, level = root.handlers, root.level
    structlog.reset_defaults()
    yield stream
    root.handlers = before
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture
def lines(written: io.StringIO) -> Lines:
    """Logging as a service configures it; gives the lines written so far."""
    logging.configure("example", fmt="json", level="info")
    structlog.configure(cache_logger_on_first_use=False)
    return lambda: [json.loads(line) for line in written.getvalue().splitlines()]


def test_a_line_has_phrase_level_service_part_and_keys(lines: Lines) -> None:
    logging.get("desk").info("call ended", call_id="CA1", seconds=3)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "call ended",
        "level": "info",
        "service": "example",
        "part": "desk",
        "call_id": "CA1",
        "seconds": 3,
    }


def test_personal_data_is_dropped(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(pii_number=PRIVATE, call_id="CA1")
    logging.get("desk").warning("refused", pii_caller=PRIVATE, reason="full")
    (line,) = lines()
    assert PRIVATE not in json.dumps(line)
    assert (line["reason"], line["call_id"]) == ("full", "CA1")


async def test_a_task_that_is_about_a_call_says_so_in_every_line_and_so_do_its_children(
    lines: Lines,
) -> None:
    def says(phrase: str) -> None:
        logging.get("call").info(phrase)

    async def child() -> None:
        says("child")
        stdlib.getLogger("somebody").warning("a library")

    async def call(sid: str) -> None:
        logging.about(CallId(sid))
        says("call")
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
        logging.get("call").info("of another", call_id="CA9")

    async with asyncio.TaskGroup() as group:
        group.create_task(call("CA1"))
        group.create_task(call("CA2"))
    says("neither")
    told = [(line["event"], line.get("call_id")) for line in lines()]
    for sid in ("CA1", "CA2"):
        assert [event for event, about in told if about == sid] == ["call", "child", "a library"]
    assert told.count(("of another", "CA9")) == 2
    assert told[-1] == ("neither", None)


def test_an_exception_leaves_its_kind_and_place_but_not_its_text(lines: Lines) -> None:
    try:
        raise ValueError(PRIVATE)
    except ValueError:
        logging.get("desk").exception("handler failed")
    (line,) = lines()
    assert PRIVATE not in json.dumps(line)
    assert (line["error"], line["level"]) == ("ValueError", "error")
    assert "test_logging.py" in line["raised_at"][-1]


def test_a_chain_of_exceptions_leaves_no_text_either(lines: Lines) -> None:
    try:
        try:
            raise KeyError(PRIVATE)
        except KeyError as error:
            raise RuntimeError(PRIVATE) from error
    except RuntimeError as error:
        logging.get("desk").error("failed", exc_info=error)
    assert PRIVATE not in json.dumps(lines())


@pytest.mark.parametrize("handled", [True, False])
def test_exceptions_of_other_libraries_are_shaped_too(lines: Lines, handled: bool) -> None:
    try:
        raise ValueError(PRIVATE)
    except ValueError as error:
        caught = error
        if handled:
            stdlib.getLogger("somebody").exception("it broke")
    if not handled:
        stdlib.getLogger("somebody").error("it broke", exc_info=caught)
    (line,) = lines()
    assert PRIVATE not in json.dumps(line)
    assert line["event"] == "it broke"
    assert line["service"] == "example"


async def test_asyncios_words_for_a_lost_exception_hold_no_text(lines: Lines) -> None:
    loop = asyncio.get_running_loop()
    lost = loop.create_future()
    lost.set_exception(ValueError(PRIVATE))
    loop.default_exception_handler(
        {"message": "it was never retrieved", "exception": lost.exception(), "future": lost}
    )
    (line,) = lines()
    assert PRIVATE not in json.dumps(line)
    assert (line["event"], line["level"]) == ("it was never retrieved", "error")


def test_lines_stay_lines(lines: Lines) -> None:
    logging.get("desk").info(
        "odd values", text='a "quoted"\nline\u2028', value=object(), raw=b"\xff"
    )
    (line,) = lines()
    assert line["text"] == 'a "quoted"\nline\u2028'


def test_the_level_holds_and_noisy_libraries_are_quiet(lines: Lines) -> None:
    logging.get("desk").debug("not said")
    stdlib.getLogger("httpx").info("GET https://api.example.com/?token=1")
    assert lines() == []
    stdlib.getLogger("httpx").warning("said")
    assert [line["event"] for line in lines()] == ["said"]


def test_the_console_shows_no_private_text_either(
    written: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", written)  # pytest sets its own after the fixtures
    logging.configure("example", fmt="console", level="info")
    structlog.configure(cache_logger_on_first_use=False)
    try:
        raise ValueError(PRIVATE)
    except ValueError:
        logging.get("desk").exception("handler failed", pii_caller=PRIVATE)
    shown = written.getvalue()
    assert "handler failed" in shown
    assert PRIVATE not in shown
