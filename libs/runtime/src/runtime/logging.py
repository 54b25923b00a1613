"""Structured logs on stderr: one JSON object (or console line) an event.

A message is a static lower-case phrase, data are keys. Personal data (numbers, words, tool
arguments, exception texts of peers) stands only under keys that begin with ``pii_`` and is
dropped before it is written.
"""

import logging
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

from protocol.ids import CallId

Log = structlog.stdlib.BoundLogger


def configure(service: str, *, fmt: str, level: str) -> None:
    """Set up structlog and the stdlib bridge for this process. ``fmt`` is json or console."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_service(service),
        _shape_exception,
        _drop_personal_data,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if fmt == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    tail: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*tail, renderer])
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for noisy in (
        "websockets",
        "httpx",
        "httpcore",
        "openai",
        "urllib3",
        "uvicorn.access",
        "asyncio",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # It repeats what the peer sent; who uses a socket of it says how that ended.
    logging.getLogger("picows").setLevel(logging.CRITICAL)
    logging.getLogger("asyncio").addFilter(_first_line)


def get(name: str) -> Log:
    """A logger; ``name`` is the module's noun."""
    log: Log = structlog.stdlib.get_logger(name, part=name)
    return log


def about(call: CallId) -> None:
    """From now on every line of this task, and of the tasks it starts, has this ``call_id``."""
    structlog.contextvars.bind_contextvars(call_id=call)


def _first_line(record: logging.LogRecord) -> bool:
    # asyncio's words for an exception that nobody took go on with the repr of task and exception.
    record.msg, record.args = record.getMessage().split("\n", 1)[0], None
    return True


def _add_service(service: str) -> Any:
    def add(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    return add


def _shape_exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The kind of an exception and where it was raised; its text may hold personal data and is
    left out.
    """
    info: object = event.pop("exc_info", None)
    if info:
        error = info if isinstance(info, BaseException) else sys.exc_info()[1]
        if error is not None:
            frames = traceback.extract_tb(error.__traceback__)[-8:]
            event["error"] = type(error).__name__
            event["raised_at"] = [f"{f.filename}:{f.lineno} {f.name}" for f in frames]
    return event


def _drop_personal_data(
    _: Any, __: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for key in [k for k in event if k.startswith("pii_")]:
        del event[key]
    return event
