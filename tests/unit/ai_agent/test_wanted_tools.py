"""How long a worker that starts waits for the tools of its profiles, and what it says then."""

import asyncio

import pytest
import structlog

from ai_agent import wanted_tools
from ai_agent.wanted_tools import WantedTools
from runtime.assistants import Profiles
from runtime.errors import ServiceError
from runtime.service import Shutdown

PROFILE = """
name = "{name}"
numbers = ["{number}"]
instructions = "i"
greeting = "g"
tools = {tools}
"""


class Box:
    """A toolbox whose n-th look finds the n-th of ``looks``, then always the last."""

    def __init__(self, *looks):
        self.looks = list(looks)
        self.looked = 0
        self.found = set()

    async def refresh(self):
        self.found = self.looks[min(self.looked, len(self.looks) - 1)]
        self.looked += 1

    def names(self):
        return set(self.found)


@pytest.fixture
def wanted(tmp_path):
    for name, number, tools in (
        ("planner", "*", '["get_tasks", "end_call"]'),
        ("front-desk", "+15550100020", '["opening_hours", "get_tasks"]'),
    ):
        text = PROFILE.format(name=name, number=number, tools=tools)
        (tmp_path / f"{name}.toml").write_text(text)
    return WantedTools(Profiles(tmp_path))


@pytest.fixture
def warnings(monkeypatch):
    monkeypatch.setattr(wanted_tools, "_log", structlog.get_logger())
    with structlog.testing.capture_logs() as logs:
        yield logs


def wait(wanted, box, wait_s=0):
    asyncio.run(wanted.wait(box, wait_s=wait_s, shutdown=Shutdown()))


def test_our_own_tools_need_no_service(wanted):
    assert wanted.names() == {"get_tasks", "opening_hours"}


def test_all_tools_are_there(wanted, warnings):
    box = Box({"get_tasks", "opening_hours", "another"})
    wait(wanted, box)
    assert (box.looked, warnings) == (1, [])


def test_the_last_one_is_waited_for(wanted, warnings):
    box = Box(set(), {"get_tasks"}, {"get_tasks", "opening_hours"})
    wait(wanted, box)
    assert (box.looked, warnings) == (3, [])


def test_one_that_does_not_come_is_one_warning(wanted, warnings, monkeypatch):
    monkeypatch.setattr(wanted_tools, "SOME_S", 0.0)
    box = Box(set(), {"get_tasks"})
    wait(wanted, box)
    assert box.looked == 2
    (warning,) = warnings
    assert warning["log_level"] == "warning"
    assert warning["tools"] == ["front-desk: opening_hours"]
    assert "start the tool service or change the profile" in warning["event"]


@pytest.mark.parametrize("served", [set(), {"of_nobody"}], ids=["no tool", "none of ours"])
def test_without_any_tool_of_a_profile_it_waits_and_gives_up(wanted, warnings, monkeypatch, served):
    monkeypatch.setattr(wanted_tools, "SOME_S", 0.0)
    with pytest.raises(ServiceError, match=r"get_tasks, opening_hours; start tool-runner"):
        wait(wanted, Box(served), wait_s=1)
    assert warnings == []


def test_a_short_bound_of_the_start_does_not_keep_it_from_starting(wanted, warnings):
    assert wanted_tools.SOME_S > 1
    wait(wanted, Box({"get_tasks"}), wait_s=1)
    assert len(warnings) == 1
