"""Forgets a caller: ends a running call of theirs, then removes what is kept of them everywhere.

The list of forgotten calls is written before anything is removed, so that nothing that is taken in
meanwhile stays; the history goes last, so that it can be asked again after a failure half-way.
"""

import asyncio
import re

from msgspec import Struct

from dashboard.database import Connection, Database, DatabaseAway, DeadlineMissed
from dashboard.history import forgotten, raw
from dashboard.history.stores import Store, forget_record, stores
from dashboard.people import trail
from dashboard.people.operator import Operator
from protocol import codec, subjects
from protocol import events as e
from protocol.callers import CallerForgotten
from protocol.calls import CallDone, CallReply, HangUpCall
from protocol.errors import DecodeError
from protocol.ids import CallId
from protocol.streams import CALLS
from runtime import logging, scan, sql
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, NoAnswer, Refused

_log = logging.get("history")

WITHIN_S = 60.0
HANG_UP_S = 10.0
ENDS_WITHIN_S = 15.0
LOOK_S = 0.2
_E164 = re.compile(r"\+[1-9]\d{6,14}\Z")
_ADDRESS = re.compile(r"sips?:[^\s\x00@]{1,100}@[A-Za-z0-9.-]{1,100}\Z")


class NoNumber(ValueError):
    """What was given is no number whose calls are one person's; the text says what is needed."""


class NotForgotten(Exception):
    """It could not be finished; the text says why. Asked again, it goes on."""


class Report(Struct, frozen=True):
    """What was removed."""

    calls: int
    hung_up: int
    not_ended: int
    removed: tuple[tuple[str, int], ...]
    """What, in the plural, and how many."""

    def lines(self) -> list[str]:
        """The report as sentences, without a number or a name."""
        said = [f"{self.calls} {_plural('call', self.calls)} forgotten."]
        if self.hung_up:
            said.append(f"{self.hung_up} running {_plural('call', self.hung_up)} ended first.")
        if self.not_ended:
            said.append(
                f"{self.not_ended} {_plural('call', self.not_ended)} could not be ended; what "
                "they still write is removed as it comes."
            )
        gone = ", ".join(f"{what}: {n}" for what, n in self.removed if n)
        return [
            *said,
            f"Removed. {gone[:1].upper()}{gone[1:]}." if gone else "Nothing else was kept.",
        ]


def number_of(text: str) -> str:
    """``text`` as a number that one caller has. Raises NoNumber."""
    number = re.sub(r"[\s().\-/]", "", text) if text.lstrip().startswith("+") else text.strip()
    if not _E164.match(number) and not _ADDRESS.match(number):
        raise NoNumber("Give the whole number with its country, like +4930123456, or a SIP address")
    return number


class Forgetter:
    """Forgets callers, one at a time."""

    def __init__(self, db: Database, bus: Bus, more: tuple[Store, ...] | None = None) -> None:
        self._db = db
        self._bus = bus
        self._stores = stores(bus) if more is None else more

    async def forget(self, number: str, by: Operator) -> Report:
        """Forget the caller of ``number`` (see ``number_of``); what was removed.

        Raises NotForgotten when something that must be asked is away; asked again it goes on.
        """
        try:
            return await self._forget(number, by)
        except NoAnswer as error:
            raise NotForgotten(f"No answer from {error.args[0]}. Try again.") from error
        except NatsAway as error:
            raise NotForgotten(f"NATS is away ({error}). Try again.") from error
        except (DatabaseAway, DeadlineMissed) as error:
            raise NotForgotten(f"PostgreSQL: {error.description}. Try again.") from error
        except Refused as error:
            raise NotForgotten(f"Refused: {error.description}") from error

    async def _forget(self, number: str, by: Operator) -> Report:
        calls = await self._calls_of(number)
        ended = [await self._end(call) for call in sorted(calls)]
        await self._list(calls)
        record = await forget_record(self._bus, number)
        # Calls that were let in but neither log nor history know any more.
        unknown = set(record.calls) - calls
        await self._list(unknown)
        calls |= unknown
        every = sorted(calls)
        removed = [(store.what, await store.forget(number, every)) for store in self._stores]
        async with self._db.transaction(WITHIN_S) as connection:
            removed += await _remove_rows(connection, every, record)
            report = Report(
                len(calls),
                ended.count(True),
                ended.count(False),
                (*_of_record(record), *removed),
            )
            await trail.record(
                connection, by, "forget_caller", detail=" ".join(report.lines())[:1000]
            )
        _log.info("caller forgotten", calls=report.calls, not_ended=report.not_ended)
        return report

    async def _calls_of(self, number: str) -> set[CallId]:
        """The calls of a number: as the history knows them, and the log for what is newer."""
        async with self._db.transaction(WITHIN_S) as connection:
            rows = await connection.fetch(_sql("of_number"), number)
        calls = {CallId(row["call_id"]) for row in rows}
        wanted = number.encode()
        async for message in scan.scan(self._bus, CALLS.name, subjects.all_logs("ringing")):
            if wanted not in message.data:
                continue
            try:
                event = codec.decode_event(message.data)
                found = raw.read(message).call_id
            except (DecodeError, raw.Poison):
                continue
            if isinstance(event, e.Ringing) and event.caller == number:
                calls.add(found)
        return calls

    async def _end(self, call: CallId) -> bool | None:
        """End a running call: True; False when it goes on. None: it did not run."""
        log = CallLog(self._bus)
        if await log.last(call, "call_ended") is not None:
            return None
        try:
            reply = await self._bus.request(
                subjects.calls("hang_up"),
                HangUpCall(call, "forgotten"),
                CallReply,
                timeout=HANG_UP_S,
            )
        except (NoAnswer, Refused):
            return False
        if not isinstance(reply, CallDone):
            # Unknown or over: there is no call, only a log without an end.
            return None if reply.reason in {"unknown_call", "not_in_progress"} else False
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                while True:
                    if await log.last(call, "call_ended") is not None:
                        return True
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            return False

    async def _list(self, calls: set[CallId]) -> None:
        """From now on nothing of these calls is taken in."""
        async with self._db.transaction(WITHIN_S) as connection:
            await connection.fetchval(_sql("alone"))
            key = await forgotten.key_of(connection)
            hashes = [forgotten.hash_of(key, call) for call in sorted(calls)]
            await connection.execute(_sql("listed"), hashes)


async def _remove_rows(
    connection: Connection, calls: list[CallId], record: CallerForgotten
) -> list[tuple[str, int]]:
    await connection.fetchval(_sql("alone"))
    counts = await connection.fetchrow(_sql("counts"), calls)
    assert counts is not None, "an aggregate gives one row"
    rows = await connection.fetch(_sql("remove"), calls)
    audit = await trail.forget(connection, list(calls))
    if record.caller_id is not None:
        done = await connection.execute(_sql("audit_of_caller"), record.caller_id)
        audit += int(done.rpartition(" ")[2])
    return [
        ("calls in the history", len(rows)),
        ("events in the history", counts["events"]),
        ("utterances", counts["utterances"]),
        ("tool calls", counts["tools"]),
        ("texts of the audit trail", audit),
    ]


def _of_record(record: CallerForgotten) -> tuple[tuple[str, int], ...]:
    return (
        ("caller records", int(record.caller_id is not None)),
        ("todos", record.todos),
        ("tool results", record.tool_results),
        ("PIN guesses", record.pin_attempts),
        ("admitted calls", len(record.calls)),
    )


def _plural(word: str, n: int) -> str:
    return word if n == 1 else f"{word}s"


def _sql(name: str) -> str:
    return sql.load("dashboard.history", "retention.sql")[name]
