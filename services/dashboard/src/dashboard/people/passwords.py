"""argon2id off the event loop, WORKERS at once; the desk's only user of argon2.

A comparison costs the same whether or not there is a hash to compare with, so that the time of an
answer does not tell which names exist.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from starlette.exceptions import HTTPException

from dashboard.people import rules
from runtime.settings import Secret

T = TypeVar("T")
WORKERS = 2
WAITING = 16
"""Comparisons that may wait; past it the desk says that it is busy instead of piling them up."""


class Passwords:
    """Hashes and compares passwords. Make it with ``hashing``; it lives as long as that block."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._argon2 = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=1)
        self._nobodys = self._argon2.hash(secrets.token_hex(16))
        self._waiting = 0

    async def hash(self, password: Secret) -> str:
        """The hash of ``password`` under a fresh salt, in the PHC format."""
        return await self._run(lambda: self._argon2.hash(password.reveal()))

    async def matches(self, hash: str | None, password: Secret) -> bool:
        """Is ``hash`` the hash of ``password``? Never when there is none, at the same cost."""
        return await self._run(lambda: self._matches(hash, password.reveal()))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise HTTPException(503, "Too many people log in at this moment; try again shortly.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _matches(self, hash: str | None, password: str) -> bool:
        try:
            self._argon2.verify(hash or self._nobodys, password[: rules.MAX_PASSWORD + 1])
        except VerificationError:
            return False
        return hash is not None


@contextlib.asynccontextmanager
async def hashing() -> AsyncGenerator[Passwords]:
    """Passwords with its threads; on leaving, what they compute is waited for (well below 1 s)."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="argon2") as threads:
        yield await asyncio.get_running_loop().run_in_executor(threads, Passwords, threads)
