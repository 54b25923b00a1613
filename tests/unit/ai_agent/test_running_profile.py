"""A running call keeps the profile that it began with; the next one has the new."""

from types import SimpleNamespace
from typing import Any

from ai_agent import call_brief
from ai_agent.admission import Standing
from ai_agent.settings import Settings
from protocol.call import CallState
from protocol.ids import CallId
from runtime.assistants import LOOK_MS, Profiles
from runtime.settings import Secret

PROFILE = """
name = "desk"
numbers = ["*"]
greeting = "Greet."
instructions = "Help."
"""
CHANGED = PROFILE.replace("Help.", "Help more.") + '[output_check]\nkind = "rules"\n'


async def test_a_file_changed_in_a_call_changes_nothing_for_it(tmp_path):
    file, now_ms = tmp_path / "desk.toml", 0
    file.write_text(PROFILE)
    worker: Any = SimpleNamespace(
        settings=Settings(openai_api_key=Secret("k")),
        toolbox=SimpleNamespace(offered=lambda _: ()),
        assistants=Profiles(tmp_path, now_ms=lambda: now_ms),
    )

    async def brief():
        state = CallState(CallId("CA" + "0" * 32))
        loaded = call_brief.profile(worker, "+15550100002")
        return await call_brief.prepare(worker, state, loaded, Standing("guest"))

    running = await brief()
    before = running.session_update()
    file.write_text(CHANGED)
    now_ms = LOOK_MS
    following = await brief()
    assert following.instructions.startswith("Help more.")
    assert following.assistant.output_check.kind == "rules"
    assert running.session_update() == before
    assert running.instructions.startswith("Help.\n")
    assert running.assistant.output_check.kind == "off"
    assert running.sha256 != following.sha256
