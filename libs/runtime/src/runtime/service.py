"""The life of a service process: arguments, settings, logs, signals, exit code. The same for all
five.

SIGTERM and SIGINT ask for a drain; a second one ends the process at once.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast, get_type_hints

import msgspec

from runtime import logging, settings, tracing
from runtime.admin import Health, admin_app, serving
from runtime.errors import AskedToStop, ServiceError, SettingsError
from runtime.lookups import Lookups
from runtime.loop import Loop
from runtime.settings import CommonSettings
from runtime.tasks import count_tasks

S = TypeVar("S", bound=CommonSettings)
_log = logging.get("service")


class Shutdown:
    """Says when the process was asked to stop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    @property
    def asked(self) -> bool:
        return self._asked.is_set()

    def ask(self) -> None:
        self._asked.set()

    async def wait(self) -> None:
        await self._asked.wait()


def run(
    name: str,
    kind: type[S],
    serve: Callable[[S, Shutdown, Health], Awaitable[None]],
    *,
    admin_port: Callable[[S], int],
    admin_setting: str,
) -> int:
    """Load ``kind`` from the environment, serve until a signal, and return the exit code.

    0: drained, or asked to stop while it waited. 1: a ServiceError, said in one sentence.
    2: settings that cannot be used, one sentence each.
    """
    parser = argparse.ArgumentParser(
        prog=name,
        description=f"Trunkline's {name}. Configured by environment variables:",
        epilog=_table(kind),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        loaded = settings.load(kind)
    except SettingsError as error:
        for problem in error.problems:
            print(f"{name}: {problem}", file=sys.stderr)  # noqa: T201 -- logs are not configured yet
        return 2
    logging.configure(name, fmt=loaded.log_format, level=loaded.log_level)
    tracing.start(name, loaded)

    lookups = Lookups()

    async def main() -> None:
        shutdown, health = Shutdown(), Health()
        lookups.use()
        health.add("draining", lambda: not shutdown.asked)
        loop = asyncio.get_running_loop()
        count_tasks(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, _on_signal, shutdown)
        async with serving(
            admin_app(health),
            host="0.0.0.0",  # noqa: S104 -- probes and scrapers come from other hosts
            port=admin_port(loaded),
            what=f"{name}'s admin port",
            setting=admin_setting,
        ):
            await serve(loaded, shutdown, health)

    # What the imports brought stays for ever: a full collection that walks it stops the loop for
    # a tenth of a second.
    gc.collect()
    gc.freeze()
    try:
        with asyncio.Runner(loop_factory=Loop) as runner:
            runner.run(main())
    except Exception as error:
        why = _leaves(error)
        if not all(isinstance(leaf, ServiceError | AskedToStop) for leaf in why):
            raise
        problems = [leaf for leaf in why if isinstance(leaf, ServiceError)]
        for problem in problems:
            _log.error("service stopped", reason=str(problem))
        if problems:
            return lookups.leave(1)
    finally:
        tracing.stop()
    _log.info("service stopped", reason="asked to")
    return lookups.leave(0)


def _on_signal(shutdown: Shutdown) -> None:
    if shutdown.asked:
        os._exit(130)
    shutdown.ask()


def _leaves(error: BaseException) -> list[BaseException]:
    """What was raised, without the groups and cancellations around it."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return [leaf for inner in group.exceptions for leaf in _leaves(inner)]
    return [] if isinstance(error, asyncio.CancelledError) else [error]


def _table(kind: type[S]) -> str:
    hints = get_type_hints(kind, include_extras=True)
    lines: list[str] = []
    for field in msgspec.structs.fields(kind):
        default = "required" if field.required else f"default {field.default!r}"
        lines.append(
            f"  {field.name.upper():24} {settings.describe(hints[field.name])} ({default})"
        )
    return "\n".join(lines)


async def waiting(
    what: str, attempt: Callable[[], Awaitable[str | None]], *, wait_s: int, shutdown: Shutdown
) -> None:
    """Call ``attempt`` until it returns None; it returns why not otherwise (one phrase).

    Says every 5 s what is waited for. Raises ServiceError after ``wait_s`` seconds (0: never), or
    when asked to stop.
    """
    loop = asyncio.get_running_loop()
    began = said = loop.time()
    while (problem := await attempt()) is not None:
        now = loop.time()
        if shutdown.asked:
            raise AskedToStop
        if wait_s and now - began >= wait_s:
            raise ServiceError(f"{what}: {problem}; gave up after {wait_s} s (STARTUP_WAIT_S)")
        if now - said >= 5:
            said = now
            _log.warning("waiting", what=what, problem=problem, seconds=round(now - began))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.25):
                await shutdown.wait()
