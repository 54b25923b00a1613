"""loads: whom to ask next."""

from protocol.placement import AgentLoad
from runtime.loads import FRESH_MS, SUSPECT_MS, Loads


def told(loads: Loads, name: str, free: int, now: int = 0, *, draining: bool = False) -> bool:
    return loads.heard(AgentLoad(name, free, draining, "b"), now)


def test_the_freest_is_asked_first() -> None:
    loads = Loads()
    told(loads, "a", 1)
    told(loads, "b", 5)
    told(loads, "c", 3)
    passed: set[str] = set()
    order = []
    while (worker := loads.best(0, passed)) is not None:
        order.append(worker)
        passed.add(worker)
    assert order == ["b", "c", "a"]


def test_full_draining_and_silent_workers_are_not_asked() -> None:
    loads = Loads()
    assert not told(loads, "full", 0)
    assert not told(loads, "draining", 9, draining=True)
    assert told(loads, "fresh", 1)
    assert loads.best(FRESH_MS, set()) == "fresh"
    assert loads.best(FRESH_MS + 1, set()) is None


def test_a_request_takes_a_slot_until_the_worker_speaks() -> None:
    loads = Loads()
    told(loads, "a", 1)
    loads.asked("a", 10)
    assert loads.best(10, set()) is None
    assert told(loads, "a", 1, 20)
    assert loads.best(20, set()) == "a"


def test_equals_take_turns() -> None:
    loads = Loads()
    for name in ("a", "b", "c"):
        told(loads, name, 2)
    order = []
    for now in range(1, 7):
        worker = loads.best(now, set())
        order.append(worker)
        loads.asked(worker, now)
        told(loads, worker, 2, now)
    assert order == ["a", "b", "c", "a", "b", "c"]


def test_a_suspect_is_passed_over_for_a_while() -> None:
    loads = Loads()
    told(loads, "a", 9)
    told(loads, "b", 1)
    loads.suspect("a", 0)
    assert not told(loads, "a", 9, SUSPECT_MS - 1)
    told(loads, "b", 1, SUSPECT_MS - 1)
    assert loads.best(SUSPECT_MS - 1, set()) == "b"
    assert loads.best(SUSPECT_MS, set()) == "a"


def test_unknown_names_are_no_error_and_silent_ones_are_forgotten() -> None:
    loads = Loads()
    loads.asked("x", 0)
    loads.suspect("x", 0)
    told(loads, "old", 1, 0)
    told(loads, "new", 1, 10_000)
    assert loads.best(10_000, set()) == "new"
    loads.asked("old", 10_000)
    assert loads.best(10_000, {"new"}) is None
