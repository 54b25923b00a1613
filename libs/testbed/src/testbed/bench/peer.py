"""An installed peer to measure beside ours: pipecat, in whatever Python has it."""

import asyncio
import os
import sys
from dataclasses import dataclass

VARIABLE = "BENCH_PIPECAT_PYTHON"
"""The Python of a virtual environment with pipecat in it; without it, the bench's own."""
MISSING = "pipecat is not installed: row left out"
_LOOK = "import importlib.metadata as m; print(m.version('pipecat-ai'))"


@dataclass(frozen=True, slots=True)
class Peer:
    """The interpreter that has it, and which release."""

    python: str
    version: str


async def pipecat() -> Peer | None:
    """None when it is not installed."""
    python = os.environ.get(VARIABLE) or sys.executable
    pipe = asyncio.subprocess.PIPE
    try:
        looking = await asyncio.create_subprocess_exec(
            python, "-c", _LOOK, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return None
    said, _ = await looking.communicate()
    return Peer(python, said.decode().strip()) if looking.returncode == 0 else None
