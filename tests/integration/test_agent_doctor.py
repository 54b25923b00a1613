"""ai-agent's doctor against the simulated model, and a NATS with and without tools."""

from pathlib import Path
from typing import Any

import pytest

from ai_agent import doctor as agent
from ai_agent.settings import Settings
from runtime import bus, doctor, micro
from runtime.doctor import Finding
from runtime.micro import Endpoint
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.ports import free_port
from testbed.realtime import RealtimeServer, Script

KEY = "a-key-of-the-model"
PROFILE = """
name = "{name}"
numbers = ["{number}"]
instructions = "Be brief."
greeting = "Greet."
tools = ["look_up"]
voice = "{voice}"
"""


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    one = PROFILE.format(name="one", number="*", voice="marin")
    (tmp_path / "one.toml").write_text(one)
    return tmp_path


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(openai_api_key=Secret(KEY), assistants_dir=str(folder), **more)


async def sessions(folder: Path, **more: Any) -> list[Finding]:
    checks = agent.checks(settings(folder, **more))
    return await doctor.examine([check for check in checks if check.name == "openai"])


async def test_a_session_opens_for_every_kind_of_profile_and_hears_nothing(profiles: Path) -> None:
    for name, voice in (("two", "cedar"), ("three", "marin")):
        text = PROFILE.format(name=name, number=f"+155501000{len(name)}", voice=voice)
        (profiles / f"{name}.toml").write_text(text)
    async with RealtimeServer(Script, api_key=KEY) as model:
        findings = await sessions(profiles, openai_base_url=model.base_url)
        assert [finding.verdict for finding in findings] == ["ok", "ok"], "two have one kind"
        assert len(model.connections) == 2
        kinds = [message["type"] for each in model.connections for message in each.received]
        assert set(kinds) == {"session.update"}


async def test_a_key_that_is_refused(profiles: Path) -> None:
    async with RealtimeServer(Script, api_key="another") as model:
        (found,) = await sessions(profiles, openai_base_url=model.base_url)
    assert found.verdict == "wrong"
    assert "HTTP 401" in found.says
    assert found.remedy == "Correct OPENAI_API_KEY."
    assert KEY not in found.says + found.remedy


async def test_a_model_that_is_not_there(profiles: Path) -> None:
    async with RealtimeServer(Script, api_key=KEY) as model:
        model.faults.refuse_upgrades = 404
        (found,) = await sessions(profiles, openai_base_url=model.base_url)
    assert "gpt-realtime-2.1" in found.remedy


async def test_nobody_there(profiles: Path) -> None:
    (found,) = await sessions(profiles, openai_base_url=f"http://127.0.0.1:{free_port()}/v1")
    assert "cannot connect" in found.says
    assert "OPENAI_BASE_URL" in found.remedy


async def test_tools_are_looked_for_where_agents_look(profiles: Path, nats_server: Any) -> None:
    common = CommonSettings(nats_url=nats_server.url)
    checks = agent.checks(settings(profiles, nats_url=nats_server.url))
    nats_check = [check for check in checks if check.name == "nats"]
    findings = await doctor.examine(nats_check)
    (found,) = [finding for finding in findings if finding.check == "tools"]
    assert found.says == "Nobody serves look_up, which one names."

    async def answer(_: Any) -> bytes:
        return b"{}"

    metadata = {"description": "Look up.", "schema": '{"type":"object"}'}
    endpoint = Endpoint("look_up", "tools.look_up", answer, metadata)  # type: ignore[arg-type]
    async with (
        bus.connect(common, "tools", Shutdown()) as nats,
        micro.serving(nats, name="library", description="Looks up", endpoints=[endpoint]),
    ):
        findings = await doctor.examine(nats_check)
    (found,) = [finding for finding in findings if finding.check == "tools"]
    assert found.says == "Every tool of one is served."


async def test_profiles_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text('name = "one"\n')
    checks = [c for c in agent.checks(settings(tmp_path)) if c.name == "settings"]
    findings = await doctor.examine(checks)
    assert any("one.toml: " in finding.says for finding in findings if finding.verdict == "wrong")
