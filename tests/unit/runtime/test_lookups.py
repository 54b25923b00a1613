"""A process whose resolver hangs ends all the same; one whose threads are idle ends in order."""

import subprocess
import sys
import time

PROGRAM = """
import asyncio, sys, threading, time
from runtime.lookups import Lookups

lookups, began = Lookups(), threading.Event()

def hang():
    began.set()
    time.sleep(60)

async def main():
    lookups.use()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, int, "7")
    if {hangs}:
        loop.run_in_executor(None, hang)
        began.wait()

asyncio.run(main())
import atexit
atexit.register(print, "in order")
sys.exit(lookups.leave(3))
"""


def run(*, hangs: bool) -> tuple[int, str, float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(hangs=hangs)],
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    return done.returncode, done.stdout, time.monotonic() - began


def test_a_lookup_that_hangs_is_not_waited_for() -> None:
    code, said, seconds = run(hangs=True)
    assert code == 3
    assert seconds < 50, "the thread sleeps for 60"
    assert "left without waiting" in said
    assert "in order" not in said, "it left here and now"


def test_idle_threads_end_in_order() -> None:
    code, said, _ = run(hangs=False)
    assert (code, said) == (3, "in order\n")
