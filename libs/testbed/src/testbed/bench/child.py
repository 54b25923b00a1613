"""A process of the bench that is told words on its standard input and answers with lines."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ENDS_WITHIN_S = 15.0


class ChildFailed(Exception):
    """A process of the bench ended or said something else than it should."""


class Child:
    """`python -m testbed.bench.NAME ARGUMENTS`."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def line(self, within_s: float) -> str:
        """Its next line. Raises ChildFailed."""
        assert self._process.stdout is not None, "its output is read"
        try:
            async with asyncio.timeout(within_s):
                line = (await self._process.stdout.readline()).decode().strip()
        except TimeoutError:
            raise ChildFailed(f"{self._name} said nothing in {within_s:g} s") from None
        if not line:
            raise ChildFailed(f"{self._name} ended with code {await self._process.wait()}")
        return line

    async def expect(self, word: str, within_s: float) -> None:
        """Wait for this line. Raises ChildFailed."""
        line = await self.line(within_s)
        if line != word:
            raise ChildFailed(f"{self._name} said {line!r} instead of {word!r}")

    async def tell(self, word: str) -> None:
        """A line on its standard input."""
        assert self._process.stdin is not None, "its input is written"
        self._process.stdin.write(word.encode() + b"\n")
        await self._process.stdin.drain()

    async def result(self) -> dict[str, Any]:
        """The JSON line that it ends with."""
        return json.loads(await self.line(ENDS_WITHIN_S))


@asynccontextmanager
async def child(name: str, *arguments: str, python: str = "") -> AsyncGenerator[Child]:
    """Runs during the block; its end is the end of its standard input. Another `python` runs the
    file, since it may know nothing of this package.
    """
    pipe = asyncio.subprocess.PIPE
    file = str(Path(__file__).with_name(f"{name}.py"))
    command = [python, file] if python else [sys.executable, "-m", f"testbed.bench.{name}"]
    process = await asyncio.create_subprocess_exec(
        *command, *arguments, stdin=pipe, stdout=pipe, limit=1 << 20
    )
    try:
        yield Child(name, process)
    finally:
        assert process.stdin is not None, "its input is written"
        process.stdin.close()
        try:
            async with asyncio.timeout(ENDS_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
