"""Health: ready when nothing fails, else the reasons by name."""

from runtime.admin import Health
from runtime.service import Shutdown


def started() -> Health:
    health = Health()
    health.started()
    return health


def test_a_service_is_not_ready_before_it_says_that_it_serves() -> None:
    health = Health()
    assert health.failing() == ["starting"]
    health.started()
    assert health.failing() == []


def test_failing_checks_are_named_in_order_and_asked_each_time() -> None:
    health, state = started(), {"nats": False, "slots": False, "log": True}
    for name in state:
        health.add(name, lambda name=name: state[name])
    assert health.failing() == ["nats", "slots"]
    state["nats"] = True
    assert health.failing() == ["slots"]


def test_a_check_of_the_same_name_replaces_the_earlier_one() -> None:
    health = started()
    health.add("nats", lambda: False)
    health.add("nats", lambda: True)
    assert health.failing() == []


def test_a_draining_service_is_not_ready() -> None:
    shutdown, health = Shutdown(), started()
    health.add("draining", lambda: not shutdown.asked)
    assert health.failing() == []
    shutdown.ask()
    assert health.failing() == ["draining"]
