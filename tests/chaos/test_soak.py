"""The short form of `make soak`: what is counted comes back, memory is not judged; and a proof that
the judge notices what it is there for.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.soak.endings import ENDINGS
from testbed.soak.judge import grown, report, slope
from testbed.soak.readings import Reading
from testbed.soak.run import Soaked, soak

pytestmark = pytest.mark.timeout(600)


async def test_nothing_grows_with_the_calls(tmp_path: Path, capsys: Any) -> None:
    told: list[str] = []
    soaked = await soak(
        60, seed=3, warm_up=20, at_once=10, every=30, log=tmp_path / "log", tell=told.append
    )
    with capsys.disabled():
        print(f"\n{report(soaked, 'the short form')}")
    assert grown(soaked, memory=False) == []
    assert len(told) == len(soaked.readings) == 3
    assert len(soaked.delays_s) == 80
    assert set(soaked.endings) == {ending.name for ending in ENDINGS}
    assert {"caller_hung_up", "assistant_hung_up", "transferred"} <= set(soaked.reasons)
    agent = soaked.readings[0].counts
    assert min(agent["ai-agent-1", what] for what in ("files", "tasks", "subscriptions")) > 0


def course(kib_per_call: float = 0.0, **more: int) -> Soaked:
    """Readings of a process whose memory warms up and then grows so; `more` at the end."""
    readings = [
        Reading(
            calls,
            {"webhooks": round(80_000 + 9_000 * min(1.0, calls / 800) + kib_per_call * calls)},
            {("webhooks", "files"): 20, ("webhooks", "tasks"): 9, ("webhooks", "threads"): 3},
        )
        for calls in range(100, 2_101, 200)
    ]
    counts = {key: number + more.get(key[1], 0) for key, number in readings[-1].counts.items()}
    return Soaked([*readings[:-1], replace(readings[-1], counts=counts)])


def test_a_slope_of_memory_is_a_leak_and_a_warm_up_is_none() -> None:
    assert grown(course()) == []
    assert slope(course().readings, "webhooks") == 0
    assert grown(course(kib_per_call=0.8)) == []
    assert grown(course(kib_per_call=1.5)) == ["webhooks grows by 1.50 KiB a call (bound 1)"]
    assert grown(course(kib_per_call=1.5), memory=False) == []


def test_a_count_that_does_not_come_back_is_a_leak() -> None:
    assert grown(course(files=4, threads=2)) == []
    assert grown(course(tasks=1)) == ["tasks of webhooks: 9 after the warm-up, 10 at the end"]
    assert grown(course(files=5)) == ["files of webhooks: 20 after the warm-up, 25 at the end"]
