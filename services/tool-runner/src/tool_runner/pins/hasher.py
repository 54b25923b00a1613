"""argon2id off the event loop, WORKERS at once. Called by the gate; the only user of argon2.

A comparison costs the same whether or not there is a hash to compare with, so that the time of an
answer does not tell who has a PIN.
"""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from runtime.settings import Secret

WORKERS = 2
MEMORY_KIB = 65_536
"""Of one hash; a PIN has few possible values, so trying them on a stolen table must be dear."""
PASSES = 3


class Hasher:
    """Hashes and compares PINs. Make it with ``hashing``; it lives as long as that block."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._argon2 = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._nobodys = self._argon2.hash(secrets.token_hex(16))

    async def hash(self, pin: Secret) -> str:
        """The hash of ``pin`` under a fresh salt, in the PHC format."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hash, pin)

    async def matches(self, hash: str | None, pin: Secret | None) -> bool:
        """Is ``hash`` the hash of ``pin``? Never when either is missing, at the same cost."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._matches, hash, pin)

    def _hash(self, pin: Secret) -> str:
        return self._argon2.hash(pin.reveal())

    def _matches(self, hash: str | None, pin: Secret | None) -> bool:
        try:
            self._argon2.verify(
                self._nobodys if hash is None else hash, "" if pin is None else pin.reveal()
            )
        except VerifyMismatchError:
            return False
        return True


@contextlib.asynccontextmanager
async def hashing() -> AsyncGenerator[Hasher]:
    """A Hasher with its threads; on leaving, what they compute is waited for (well below 1 s)."""
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="argon2") as threads:
        yield await asyncio.get_running_loop().run_in_executor(threads, Hasher, threads)
