"""An update in mid-call: what it makes of the brief, and how the model's answers are matched."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from ai_agent import call_brief, session_updates
from ai_agent.admission import Standing
from ai_agent.call_brief import Brief
from ai_agent.operator_turn import OperatorTurn
from ai_agent.realtime import events as rt
from ai_agent.realtime.commands import PCMU, UPDATE_EVENT_ID
from ai_agent.revision import revised
from ai_agent.session_updates import SessionUpdates
from ai_agent.settings import Settings
from protocol import commands
from protocol.call import CallState
from protocol.commands import Done, Refused, UpdateSession
from protocol.events import OfferedTool
from protocol.ids import CallId, ItemId
from runtime.assistants import Profiles
from runtime.settings import Secret

PROFILE = """
name = "desk"
numbers = ["*"]
greeting = "Greet."
instructions = "Help."
tools = ["get_tasks"]
"""
GOOD = rt.Session(audio={"input": {"format": PCMU}, "output": {"format": PCMU}})


class Toolbox:
    def __init__(self):
        self.served = {"get_tasks"}
        self.later = set()
        self.refreshed = 0

    def names(self):
        return self.served

    def offered(self, names):
        return tuple(OfferedTool(name, "", "{}") for name in names if name in self.served)

    async def refresh(self):
        self.refreshed += 1
        self.served |= self.later


@pytest.fixture
def worker(tmp_path) -> Any:
    (tmp_path / "desk.toml").write_text(PROFILE)
    return SimpleNamespace(
        settings=Settings(openai_api_key=Secret("k")),
        toolbox=Toolbox(),
        assistants=Profiles(tmp_path, now_ms=lambda: 0),
        folder=tmp_path,
    )


@pytest.fixture
async def brief(worker):
    state = CallState(CallId("CA" + "0" * 32))
    loaded = call_brief.profile(worker, "+15550100002")
    return await call_brief.prepare(worker, state, loaded, Standing("guest"))


def refusal(found) -> str:
    assert isinstance(found, Refused)
    assert found.message
    return found.code


def change(worker, **changes):
    text = PROFILE
    for old, new in changes.values():
        assert old in text
        text = text.replace(old, new)
    (worker.folder / "desk.toml").write_text(text)


async def test_a_reload_takes_words_and_tools_of_the_file_and_keeps_the_rest(worker, brief):
    worker.toolbox.served.add("opening_hours")
    change(
        worker,
        words=('"Help."', '"Help more."'),
        tools=('["get_tasks"]', '["opening_hours"]\nvoice = "cedar"'),
    )
    found = await revised(worker, brief, UpdateSession("ops", reload=True))
    assert isinstance(found, Brief)
    assert found.instructions == brief.instructions.replace("Help.", "Help more.", 1)
    assert "Today is" in found.instructions
    assert [tool.name for tool in found.tools] == ["opening_hours", "end_call"]
    assert found.sha256 != brief.sha256
    assert found.session_update()["session"]["audio"] == brief.session_update()["session"]["audio"]


async def test_given_words_and_tools_go_before_those_of_the_file(worker, brief):
    change(worker, words=('"Help."', '"Help more."'))
    wanted = UpdateSession("ops", reload=True, instructions="Say no.", tools=())
    found = await revised(worker, brief, wanted)
    assert isinstance(found, Brief)
    assert found.instructions.startswith("Say no.\n\nToday is")
    assert [tool.name for tool in found.tools] == ["end_call"]
    later = await revised(worker, found, UpdateSession("ops", tools=("get_tasks", "get_tasks")))
    assert isinstance(later, Brief)
    assert later.instructions == found.instructions
    assert [tool.name for tool in later.tools] == ["get_tasks", "end_call"]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (UpdateSession("ops"), "nothing_asked"),
        (UpdateSession("o" * (commands.BY_MAX + 1), reload=True), "too_long"),
        (UpdateSession("o", instructions="x" * (commands.INSTRUCTIONS_MAX + 1)), "too_long"),
        (UpdateSession("o", tools=("t",) * (commands.TOOLS_MAX + 1)), "too_long"),
        (UpdateSession("ops", tools=("get_taks",)), "unknown_tool"),
        (UpdateSession("ops", tools=("transfer_to_human",)), "unknown_tool"),
    ],
)
async def test_what_is_refused(worker, brief, wanted, code):
    assert refusal(await revised(worker, brief, wanted)) == code


async def test_an_unknown_tool_is_named_and_one_served_since_is_found(worker, brief):
    wanted = UpdateSession("ops", tools=("get_tasks", "new", "end_call"))
    found = await revised(worker, brief, wanted)
    assert isinstance(found, Refused)
    assert found.message == "nobody serves new"
    worker.toolbox.later = {"new"}
    found = await revised(worker, brief, wanted)
    assert isinstance(found, Brief)
    assert [tool.name for tool in found.tools] == ["get_tasks", "new", "end_call"]


async def test_a_profile_that_is_gone_is_said_so(worker, brief):
    (worker.folder / "desk.toml").write_text(PROFILE.replace('"desk"', '"other"'))
    assert refusal(await revised(worker, brief, UpdateSession("o", reload=True))) == "no_profile"


class Session:
    """A held call and its model, by hand."""

    def __init__(self, worker, brief):
        self.brief = brief
        self.floor = OperatorTurn(lambda: ItemId("operator:1"))
        self.worker = worker
        self.outbox = self
        self.told: list[dict] = []
        self.more = asyncio.Event()
        self.logged: list[dict] = []
        self.spoilt: list[str] = []
        self.updates = SessionUpdates(self, self, self.spoilt.append)  # type: ignore[arg-type]

    def tell(self, command):
        self.told.append(command)
        self.more.set()

    def briefed(self, brief):
        self.brief = brief

    def event(self, _, fields):
        return fields

    def append(self, event):
        self.logged.append(event)
        done = asyncio.get_running_loop().create_future()
        done.set_result(1)
        return done

    async def run(self, answer, wanted=None):
        self.more.clear()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(
                self.updates.run(wanted or UpdateSession("ops", instructions="New."))
            )
            await self.more.wait()
            if answer is not None:
                self.updates.on_event(answer)
        return running.result()


@pytest.fixture
def session(worker, brief):
    return Session(worker, brief)


def error(event_id=UPDATE_EVENT_ID):
    return rt.ErrorReported(rt.ErrorBody("invalid_request_error", "too_much", event_id=event_id))


async def test_what_the_model_took_is_written_and_used_from_then_on(session):
    assert await session.run(rt.SessionUpdated(GOOD)) == Done()
    (told,) = session.told
    assert told["type"] == "session.update"
    assert told["session"]["instructions"].startswith("New.")
    assert told["session"]["audio"]["output"]["format"] == PCMU
    (event,) = session.logged
    assert event["by"] == "ops"
    assert event["instructions"] == session.brief.instructions == told["session"]["instructions"]


async def test_what_the_model_refuses_changes_nothing(session, brief):
    assert refusal(await session.run(error())) == "not_applied"
    assert (session.logged, session.brief) == ([], brief)
    assert await session.run(rt.SessionUpdated(GOOD)) == Done()


async def test_an_error_of_something_else_is_no_answer(session):
    session.updates.on_event(error("trunkline-create"))
    assert await session.run(rt.SessionUpdated(GOOD)) == Done()


async def test_no_answer_in_time_is_taken_back_and_a_late_one_not_mistaken(
    session, brief, monkeypatch
):
    monkeypatch.setattr(session_updates, "ANSWER_S", 0.05)
    assert refusal(await session.run(None)) == "not_applied"
    assert (session.logged, session.brief) == ([], brief)
    assert session.told[-1]["session"]["instructions"] == brief.instructions
    monkeypatch.setattr(session_updates, "ANSWER_S", 30)
    session.updates.on_event(rt.SessionUpdated(GOOD))  # of the first
    session.updates.on_event(rt.SessionUpdated(GOOD))  # of what took it back
    assert refusal(await session.run(error())) == "not_applied", "the answer is its own"


async def test_the_end_of_the_session_is_an_answer(session, brief):
    session.more.clear()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.updates.run(UpdateSession("o", instructions="New.")))
        await session.more.wait()
        session.updates.end()
    assert refusal(running.result()) == "not_applied"
    assert (session.logged, session.brief) == ([], brief)


async def test_a_session_that_lost_its_format_is_given_up(session):
    pcm = {"type": "audio/pcm", "rate": 24_000}
    wrong = rt.Session(audio={"input": {"format": PCMU}, "output": {"format": pcm}})
    assert refusal(await session.run(rt.SessionUpdated(wrong))) == "not_applied"
    assert session.spoilt
    assert session.logged == []
