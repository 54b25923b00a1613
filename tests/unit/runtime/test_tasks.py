"""Supervised tasks: who fails with whom, and nothing outlives its owner. No clock, no sockets."""

import asyncio
import inspect

import pytest
from prometheus_client import REGISTRY

from runtime.tasks import Tasks, count_tasks, heeding


class Boom(Exception):
    pass


async def fail() -> None:
    raise Boom


async def test_a_spawned_childs_error_ends_the_owner() -> None:
    async def owner() -> None:
        async with Tasks("owner") as tasks:
            tasks.spawn(fail(), "child")
            await asyncio.Event().wait()

    with pytest.raises(Boom):
        await owner()


async def test_a_failing_child_takes_its_siblings_along() -> None:
    ended: list[str] = []

    async def sibling() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("sibling")

    async def owner() -> None:
        async with Tasks("owner") as tasks:
            tasks.spawn(sibling(), "sibling")
            await asyncio.sleep(0)
            tasks.spawn(fail(), "child")
            await asyncio.Event().wait()

    with pytest.raises(Boom):
        await owner()
    assert ended == ["sibling"]


async def test_an_isolated_child_cancelled_before_its_first_step_leaves_nothing_behind() -> None:
    begun = False

    async def work() -> None:
        nonlocal begun
        begun = True

    child = work()
    async with Tasks("owner") as tasks:
        tasks.isolate(child, "child").cancel()
    assert not begun
    assert inspect.getcoroutinestate(child) == inspect.CORO_CLOSED


async def test_an_isolated_childs_error_is_counted_and_harms_nobody() -> None:
    def failures() -> float:
        labels = {"task": "isolated_child_of_this_test"}
        return REGISTRY.get_sample_value("trunkline_task_failures_total", labels) or 0

    before = failures()
    async with Tasks("owner") as tasks:
        tasks.isolate(fail(), "isolated_child_of_this_test")
        release = asyncio.Event()
        sibling = tasks.spawn(_wait(release), "sibling")
        while len(tasks) > 1:
            await asyncio.sleep(0)
        assert not sibling.done()
        release.set()
        await tasks.finish()
        assert sibling.done()
        assert not sibling.cancelled()
    assert failures() == before + 1


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_leaving_cancels_what_still_runs_and_waits_for_its_end() -> None:
    order: list[str] = []

    async def slow_to_end() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("child")

    async with Tasks("owner") as tasks:
        spawned = tasks.spawn(slow_to_end(), "a")
        isolated = tasks.isolate(slow_to_end(), "b")
        await asyncio.sleep(0)
    order.append("owner")
    assert order == ["child", "child", "owner"]
    assert spawned.cancelled()
    assert isolated.cancelled()


async def test_an_error_of_the_block_is_raised_as_it_is() -> None:
    async def owner() -> None:
        async with Tasks("owner") as tasks:
            tasks.spawn(_wait(asyncio.Event()), "child")
            raise Boom

    with pytest.raises(Boom):
        await owner()


async def test_two_errors_are_told_together() -> None:
    async def fail_when_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise KeyError

    async def owner() -> None:
        async with Tasks("owner") as tasks:
            tasks.spawn(fail_when_cancelled(), "child")
            await asyncio.sleep(0)
            raise Boom

    with pytest.raises(BaseExceptionGroup) as caught:
        await owner()
    assert {type(error) for error in caught.value.exceptions} == {Boom, KeyError}


async def test_a_cancelled_owner_stays_cancelled_and_leaves_nothing() -> None:
    children: list[asyncio.Task[None]] = []

    async def owner() -> None:
        async with Tasks("owner") as tasks:
            children.append(tasks.spawn(_wait(asyncio.Event()), "child"))
            await asyncio.Event().wait()

    async with Tasks("outer") as outer:
        running = outer.spawn(owner(), "owner")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
    assert running.cancelled()
    assert children[0].cancelled()


async def test_finish_lets_children_end_by_themselves_also_those_begun_meanwhile() -> None:
    done: list[str] = []

    async def parent(tasks: Tasks) -> None:
        await asyncio.sleep(0)
        tasks.spawn(child(), "child")
        done.append("parent")

    async def child() -> None:
        await asyncio.sleep(0)
        done.append("child")

    async with Tasks("owner") as tasks:
        tasks.spawn(parent(tasks), "parent")
        assert len(tasks) == 1
        await tasks.finish()
        assert len(tasks) == 0
    assert done == ["parent", "child"]


async def test_tasks_are_named_after_owner_and_child() -> None:
    async with Tasks("call CA1") as tasks:
        assert tasks.spawn(_wait(asyncio.Event()), "outbox").get_name() == "call CA1.outbox"


async def test_a_cancellation_that_meets_its_result_is_heeded():
    """As asyncio's wait_for does before Python 3.12: it gives the result instead."""
    went_on = False

    async def swallows() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "result"
        return ""

    async def asks() -> None:
        nonlocal went_on
        assert await heeding(swallows()) == "result"
        went_on = True

    task = asyncio.get_running_loop().create_task(asks())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not went_on


async def test_heeding_changes_nothing_for_a_task_that_was_cancelled_before():
    async def cleans_up() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(await heeding(asyncio.sleep(0, "clean")))
        return ""

    cleaned: list[str] = []
    task = asyncio.get_running_loop().create_task(cleans_up())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["clean"]


async def test_metrics_tell_the_unfinished_tasks_at_each_scrape() -> None:
    count_tasks(asyncio.get_running_loop())
    before = REGISTRY.get_sample_value("trunkline_asyncio_tasks")
    assert before is not None
    async with Tasks("owner") as tasks:
        tasks.spawn(asyncio.sleep(60), "child")
        assert REGISTRY.get_sample_value("trunkline_asyncio_tasks") == before + 1
    assert REGISTRY.get_sample_value("trunkline_asyncio_tasks") == before
