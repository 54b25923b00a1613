"""`python -m testbed demo` as a person runs it: a whole spoken call, Ctrl-C, a taken port."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from testbed.data_folder import DataFolder

REPOSITORY = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
"""All that it gets of our environment: settings of the shell would change what it does."""
TURNS = (
    ("today", "get_tasks("),
    ("milk", "create_task("),
    ("plants", "complete_task("),
    ("goodbye", "ended: caller hung up"),
)
"""A word that must be understood from the caller, and what must follow."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not under pytest's private folders: PostgreSQL runs as another user under root."""
    path = Path(tempfile.mkdtemp(prefix="trunkline-demo-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


class Demo:
    """A running demo and its output so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def saw(self, text: str, within_s: float) -> None:
        """Wait for a line with this text."""
        async with asyncio.timeout(within_s):
            while not any(text in line for line in self.lines):
                assert await self._read(), f"ended before '{text}': {self.lines}"

    async def ended(self, within_s: float) -> int:
        """Wait for the end; the exit code."""
        async with asyncio.timeout(within_s):
            while await self._read():
                pass
            return await self.process.wait()

    async def _read(self) -> bool:
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if line:
            self.lines.append(line.decode().rstrip())
        return bool(line)


@pytest.fixture
async def start(folder: Path) -> AsyncIterator:
    """Starts a demo on `folder`; what still runs at the end is killed with all it started."""
    started: list[Demo] = []

    async def run(*arguments: str, **environment: str) -> Demo:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "testbed", "demo", "--data", str(folder / "run"), *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={name: os.environ[name] for name in KEPT if name in os.environ} | environment,
            process_group=0,
            cwd=REPOSITORY,
        )
        started.append(Demo(process))
        return started[-1]

    yield run
    for demo in started:
        if demo.process.returncode is None:
            for pid in [demo.process.pid, *below(demo.process.pid)]:
                os.kill(pid, signal.SIGKILL)
            await demo.process.wait()


def below(pid: int) -> dict[int, str]:
    """Everything that `pid` started, directly or not: process ids and when each started, which
    tells a process from a later one of the same id."""
    table: dict[int, tuple[int, str]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        found = identity(int(stat.parent.name))
        if found is not None:
            table[int(stat.parent.name)] = found
    mine = {pid}
    while more := {child for child, (parent, _) in table.items() if parent in mine} - mine:
        mine |= more
    return {each: table[each][1] for each in mine - {pid} if each in table}


def identity(pid: int) -> tuple[int, str] | None:
    """Parent and start time of a process that runs; None for none or a dead one."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else (int(fields[1]), fields[19])


@pytest.mark.timeout(240)
async def test_ctrl_c_in_mid_call_leaves_nothing_and_a_second_demo_plays_the_whole_call(
    start, folder: Path
) -> None:
    demo = await start("--free-ports")
    await demo.saw("session of", 90)
    begun = below(demo.process.pid)
    assert len(begun) >= 8, "two servers, five services and the voice model"
    os.kill(demo.process.pid, signal.SIGINT)
    assert await demo.ended(60) == 130
    assert not any("Traceback" in line for line in demo.lines), demo.lines
    left = [pid for pid, born in begun.items() if (now := identity(pid)) and now[1] == born]
    assert left == []
    DataFolder.hold(folder / "run").release()
    assert not (folder / "run/system.json").exists()

    demo = await start("--free-ports")
    code = await demo.ended(150)
    text = "\n".join(demo.lines)
    assert code == 0, text
    assert sum("/login#" in line for line in demo.lines) == 1, "the way into the desk is said"
    at = 0
    for word, effect in TURNS:
        said = next(
            i for i, line in enumerate(demo.lines[at:], at) if "  caller " in line and word in line
        )
        at = next(i for i, line in enumerate(demo.lines[said:], said) if effect in line)
    assert sum("  assistant " in line for line in demo.lines) >= len(TURNS) + 1
    assert any(line.startswith("  [ ] Fri") and line.endswith("buy milk") for line in demo.lines)
    assert any("[x]" in line and "water the plants" in line for line in demo.lines)
    assert " 0 frames dropped" in text
    assert "ms of CPU per second of call" in text
    assert demo.lines[-1] == "Every step of the call happened."
    assert "+15550100001" not in text, "numbers are masked"


async def test_a_taken_port_is_said_in_one_sentence(start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = await start("--free-ports", INGRESS_PORT=str(port))
        assert await demo.ended(90) == 1
    assert demo.lines[-1].startswith(f"cannot start: port {port} for stream-ingress is taken:")
    assert "INGRESS_PORT" in demo.lines[-1]
    assert not any("Traceback" in line for line in demo.lines)


async def test_a_folder_in_use_is_said_in_one_sentence(start, folder: Path) -> None:
    held = DataFolder.hold(folder / "run")
    try:
        demo = await start("--free-ports")
        assert await demo.ended(90) == 1
    finally:
        held.release()
    assert "is in use by another running instance" in demo.lines[-1]
    assert str(os.getpid()) in demo.lines[-1]
