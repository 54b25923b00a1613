"""Storage of PINs and the counting of guesses: the only user of pins/queries.sql. It sees hashes,
never digits.

A guess is counted as a failure before it is compared (``claim``), and a right one takes that back
(``settle``): guesses made at once, or cut off midway, cannot slip past the count.
"""

from datetime import datetime, timedelta

from msgspec import Struct

from protocol import codec
from protocol.callers import (
    NoPin,
    PinAccepted,
    PinLocked,
    PinRejected,
    PinStanding,
    PinVerdict,
    VerifyPin,
)
from protocol.ids import CallerId, EventId
from protocol.todos import Caller
from runtime import sql
from runtime.errors import Refused
from tool_runner.database import Connection
from tool_runner.pins import rules


class Holder(Struct, frozen=True):
    """Who has the number, and the hash of their PIN."""

    caller_id: CallerId
    hash: str


class Guess(Struct, frozen=True):
    """A counted guess. ``verdict`` is set when it was judged already, or may not be compared;
    ``lock_s`` is the lock-out that it brings unless it is right.
    """

    key: EventId
    number: str
    holder: Holder | None
    if_wrong: PinVerdict
    verdict: PinVerdict | None = None
    lock_s: int = 0


class Pins:
    """PINs and guesses, seen through one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = sql.load("tool_runner.pins", "queries.sql")

    async def claim(self, asked: VerifyPin, number: str, now: datetime) -> Guess:
        """Count the guess, unless its key was counted before. Raises Refused(409) when the key
        belongs to another number or call.
        """
        claimed = await self._connection.fetchrow(self._sql["claim"], asked.key, number, asked.call)
        if claimed is None:
            return await self._claimed(asked, number)
        holder = await self._holder(number)
        if holder is None:  # nothing to guess: nothing to count
            guess = Guess(asked.key, number, None, NoPin())
        else:
            guess = await self._count(asked, holder, number, now)
        verdict = None if guess.verdict is None else _json(guess.verdict)
        await self._connection.execute(
            self._sql["decide"], guess.key, _json(guess.if_wrong), verdict
        )
        return guess

    async def settle(self, guess: Guess, *, right: bool) -> PinVerdict:
        """The verdict on a compared guess; the first one stands if it is compared twice."""
        verdict = guess.if_wrong
        if right and guess.holder is not None:
            verdict = PinAccepted(guess.holder.caller_id)
        settled = await self._connection.fetchrow(self._sql["settle"], guess.key, _json(verdict))
        if settled is None:
            row = await self._connection.fetchrow(self._sql["attempt"], guess.key)
            return guess.if_wrong if row is None else _verdict(row["verdict"])
        if isinstance(verdict, PinAccepted):
            await self._connection.execute(self._sql["reset"], guess.number)
        return verdict

    async def standing(self, number: str, now: datetime) -> PinStanding:
        """Whether the number has a PIN, and for how long it is locked out."""
        row = await self._connection.fetchrow(self._sql["standing"], number)
        if row is None:
            return PinStanding(has_pin=False)
        return PinStanding(row["has_pin"], rules.left_s(row["locked_until"], now))

    async def keep(self, caller: Caller, hash: str | None) -> None:
        """Set the caller's PIN (None: remove it) and forget the failures of their number."""
        if hash is None:
            await self._connection.execute(self._sql["remove"], caller.caller_id)
        else:
            await self._connection.execute(self._sql["set"], caller.caller_id, hash)
        await self._connection.execute(self._sql["reset"], caller.number)

    async def forget(self, days: int) -> None:
        """Remove guesses older than ``days``; the failures of a number stay."""
        await self._connection.execute(self._sql["forget"], days)

    async def _claimed(self, asked: VerifyPin, number: str) -> Guess:
        row = await self._connection.fetchrow(self._sql["attempt"], asked.key)
        if row is None:
            raise Refused(409, "the idempotency key was just forgotten; it is too old to be used")
        if (row["number"], row["call_id"]) != (number, asked.call):
            raise Refused(409, "the idempotency key was used for another number or call")
        verdict = None if row["verdict"] is None else _verdict(row["verdict"])
        holder = await self._holder(number)
        return Guess(asked.key, number, holder, _verdict(row["if_wrong"]), verdict)

    async def _count(self, asked: VerifyPin, holder: Holder, number: str, now: datetime) -> Guess:
        failed = await self._connection.fetchrow(self._sql["fail"], number)
        assert failed is not None, "INSERT ... RETURNING gives its row"
        if left := rules.left_s(failed["locked_until"], now):
            locked = PinLocked(left)  # counted, but the running lock-out does not grow
            return Guess(asked.key, number, holder, locked, locked)
        used: int = await self._connection.fetchval(self._sql["tries"], asked.call)
        if_wrong: PinVerdict = PinRejected(rules.tries_left(used))
        lock_s = rules.lock_s(failed["failures"])
        if lock_s:
            until = now + timedelta(seconds=lock_s)
            await self._connection.execute(self._sql["lock"], number, until)
            if_wrong = PinLocked(lock_s)
        verdict = if_wrong if used > rules.TRIES_A_CALL else None
        return Guess(asked.key, number, holder, if_wrong, verdict, lock_s)

    async def _holder(self, number: str) -> Holder | None:
        row = await self._connection.fetchrow(self._sql["holder"], number)
        return None if row is None else Holder(row["caller_id"], row["hash"])


def _json(verdict: PinVerdict) -> str:
    return codec.encode(verdict).decode()


def _verdict(stored: str) -> PinVerdict:
    verdict: PinVerdict = codec.decode_as(PinVerdict, stored.encode())
    return verdict
