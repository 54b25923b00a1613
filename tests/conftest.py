"""What every test gets: its marker from its folder, and a check that no asyncio task outlives it.

It never starts a server; the folders' own conftest files do.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: a busy machine is no failure. Fewer examples than by default keep the unit layer
# within seconds; HYPOTHESIS_PROFILE=thorough is for whoever changes a core.
settings.register_profile("trunkline", deadline=None, max_examples=15, stateful_step_count=20)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "trunkline"))

TESTS = Path(__file__).parent
LAYERS = ("unit", "contract", "integration", "e2e", "browser", "chaos", "bench", "deploy")
# Cancelled tasks and closing sockets need a few turns of the loop to end; a leak never ends.
SETTLE_S = 2.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        layer = item.path.relative_to(TESTS).parts[0]
        if layer not in LAYERS:
            raise pytest.UsageError(
                f"{item.path}: a test belongs in one of tests/{{{','.join(LAYERS)}}}/"
            )
        item.add_marker(layer)


@pytest.fixture(autouse=True)
def _task_check(request: pytest.FixtureRequest) -> None:
    """Watch async tests only: a pure test must not be given a loop.

    Fixtures of the session are set up before this one, so their tasks are not the test's; the
    test's own fixtures are set up later and torn down before the check.
    """
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_no_leaked_tasks")


@pytest.fixture
async def _no_leaked_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    mine = asyncio.current_task()
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while leaked := {task for task in asyncio.all_tasks() - before - {mine} if not task.done()}:
        if asyncio.get_running_loop().time() > deadline:
            names = ", ".join(sorted(repr(task.get_coro()) for task in leaked))
            for task in leaked:
                task.cancel()
            pytest.fail(f"the test left {len(leaked)} asyncio task(s) running: {names}")
        await asyncio.sleep(0.005)
