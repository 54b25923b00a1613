"""`python -m testbed demo-full` as a person runs it: all steps, and a step that cannot happen."""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
"""All that it gets of our environment: settings of the shell would change what it does."""
STEPS = (
    "Please enter your PIN",
    "PIN is wrong, 2 tries left",
    "PIN is right",
    "session of ",
    "interrupts after",
    "key 2",
    'get_tasks({"period": "tomorrow"})',
    "the voice model is stopped",
    "keypad (no session",
    "I am switching to the keypad.",
    "Press 1 for today",
    "key 1",
    "Here is what you have for today",
    "the voice model is started again",
    "key *",
    "session of ",
    "You can speak with me again.",
    "ended: caller hung up",
    "Every step of the call happened.",
)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not under pytest's private folders: PostgreSQL runs as another user under root."""
    path = Path(tempfile.mkdtemp(prefix="trunkline-demo-full-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


async def demo_full(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """Run it to its end; exit code and lines."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "testbed", "demo-full", "--data", str(folder), "--free-ports"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={name: os.environ[name] for name in KEPT if name in os.environ} | environment,
        cwd=REPOSITORY,
    )
    try:
        out, _ = await process.communicate()
    except asyncio.CancelledError:
        process.send_signal(signal.SIGINT)  # it stops what it started
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, out.decode().splitlines()


@pytest.mark.timeout(240)
async def test_every_step_of_the_full_call_happens(folder: Path) -> None:
    # Without effect: the demo stops its model, so that is always the local one.
    code, lines = await demo_full(folder / "run", OPENAI_API_KEY="a-key")
    text = "\n".join(lines)
    assert code == 0, text
    assert "/login#" in text, "the way into the desk is said"
    at = 0
    for step in STEPS:
        found = text.find(step, at)
        assert found >= 0, f"no '{step}' after {text[max(0, at - 80) : at]!r} in\n{text}"
        at = found + len(step)
    assert "+15550100001" not in text
    # By itself: four digits may stand in the random token of the way into the desk.
    assert not re.search(r"(?<!\w)4711(?!\w)", text)


@pytest.mark.timeout(240)
async def test_a_step_that_does_not_happen_is_named_and_fails_the_demo(folder: Path) -> None:
    """No voice is left that could read the choices of the keypad."""
    code, lines = await demo_full(folder / "run", SPEAKER_PROVIDERS="openai-speech")
    assert code == 1, lines
    assert lines[-1].strip() == "missing: the caller is told 'Press 1 for today'"
    assert not any("Traceback" in line for line in lines)
