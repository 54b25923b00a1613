"""What each service's doctor makes of what it saw, right and wrong; and that every service has one
which knows its newest migration.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ai_agent import doctor as agent
from dashboard import doctor as desk
from protocol.ids import WorkerId
from protocol.placement import AgentLoad
from runtime import settings
from runtime.assistant import Assistant, Transfer
from runtime.doctor_profiles import looked_at
from stream_ingress import doctor as ingress

ROOT = Path(__file__).parents[2]
SERVICES = sorted(path.name for path in (ROOT / "services").iterdir() if path.is_dir())


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_has_a_doctor(service: str) -> None:
    module = import_module(f"{service.replace('-', '_')}.doctor")
    assert callable(module.main)


@pytest.mark.parametrize("service", ["tool-runner", "dashboard"])
def test_the_doctor_knows_the_newest_migration(service: str) -> None:
    database = import_module(f"{service.replace('-', '_')}.database")
    newest = max((ROOT / f"services/{service}/migrations").glob("*.sql"))
    assert newest.name.partition("_")[0] == database.NEWEST_MIGRATION


def test_only_services_with_migrations_look_at_tables() -> None:
    with_tables = {path.parent.name for path in (ROOT / "services").glob("*/migrations")}
    assert with_tables == {"tool-runner", "dashboard"}


def load(free: int, *, draining: bool = False, worker: str = "w1") -> AgentLoad:
    return AgentLoad(WorkerId(worker), free, draining, "0.1.0")


@pytest.mark.parametrize(
    ("loads", "verdicts", "says"),
    [
        ([], ["wrong"], "No agent worker is heard"),
        ([load(3, draining=True)], ["wrong"], "draining"),
        ([load(0), load(0, worker="w2")], ["wrong"], "none has a free slot"),
        ([load(5)], ["ok", "note"], "5 free slots"),
        ([load(5), load(0, worker="w2")], ["ok"], "2 agent workers are heard, with 5 free slots"),
    ],
)
def test_agents_heard(loads: list[AgentLoad], verdicts: list[str], says: str) -> None:
    found = ingress.judged(loads)
    assert [finding.verdict for finding in found] == verdicts
    assert says in found[0].says


def profile(name: str, *tools: str) -> Assistant:
    return Assistant(
        name=name,
        numbers=("*",),
        instructions="Be brief.",
        greeting="Greet.",
        tools=tools,
        transfer=Transfer(),
    )


def test_tools_of_profiles() -> None:
    planner = profile("planner", "get_tasks", "end_call")
    clinic = profile("clinic", "opening_hours", "book")
    served = agent.offered([planner, clinic], {"get_tasks", "opening_hours"})
    assert [finding.verdict for finding in served] == ["ok", "wrong"]
    assert served[1].says == "Nobody serves book, which clinic names."


def agent_settings(**environ: str) -> Any:
    kind = import_module("ai_agent.settings").Settings
    return settings.load(kind, {"OPENAI_API_KEY": "sk-" + "x" * 40} | environ)


def test_a_key_that_is_none() -> None:
    assert agent.shape(agent_settings()) == []
    (odd,) = agent.shape(agent_settings(OPENAI_API_KEY="a-password-of-something"))
    assert odd.verdict == "note"
    assert "a-password-of-something" not in odd.says + odd.remedy
    base = "https://model.example.com/v1"
    assert agent.shape(agent_settings(OPENAI_API_KEY="any", OPENAI_BASE_URL=base)) == []


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("refused with HTTP 401", "Correct OPENAI_API_KEY."),
        ("refused with HTTP 404", "Correct the model (gpt-realtime-2.1)"),
        ("session refused: insufficient_quota", "limits and credit"),
        ("cannot connect (OSError)", "way to OpenAI"),
        ("session refused: invalid_value", "Compare the profile"),
    ],
)
def test_a_session_that_does_not_open(reason: str, remedy: str) -> None:
    found = agent.refused("planner", "gpt-realtime-2.1", reason)
    assert found.verdict == "wrong"
    assert reason in found.says
    assert remedy in found.remedy


def test_who_may_log_in_at_the_desk() -> None:
    assert desk.people(2).verdict == "ok"
    nobody = desk.people(0)
    assert nobody.verdict == "note"
    assert "add_operator" in nobody.remedy


def test_profiles_are_named_or_their_problems(tmp_path: Path) -> None:
    found, findings = looked_at(ROOT / "assistants")
    assert {each.name for each in found} == {"front-desk", "on-your-plate"}
    assert [finding.verdict for finding in findings] == ["ok"]
    (tmp_path / "a.toml").write_text('name = "a"\nnumbers = ["*"]\ngreating = "x"\n')
    (tmp_path / "b.toml").write_text("name = ")
    found, findings = looked_at(tmp_path)
    assert found == ()
    assert [finding.verdict for finding in findings] == ["wrong", "wrong"]
    assert "a.toml: greating: there is no such key" in findings[0].says
    assert "b.toml: is no TOML" in findings[1].says
    _, findings = looked_at(tmp_path / "nowhere")
    assert "no assistant profile" in findings[0].says
