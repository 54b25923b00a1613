"""`make doctor` beside a whole system: well, with one thing wrong at a time, with everything."""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import pytest

from testbed.layout import SERVICES, common_environment
from testbed.ports import free_port
from testbed.realtime import Script
from testbed.twilio import serve_rest

PATIENCE_S = 60.0


class Clinic:
    """A running system, and the environment that its operator has."""

    def __init__(self, world: Any, api_url: str) -> None:
        self.world = world
        stack = world.stack
        self.environment = common_environment(stack.config, stack.nats_url, stack.database_url)
        self.environment |= {"TWILIO_API_URL": api_url, "OUTBOUND_PREFIXES": "+1555"}

    async def doctor(self, *arguments: str, **environ: str) -> tuple[int | None, str]:
        """Exit code and output of `make doctor` with these variables set otherwise."""
        minds = self.world.minds.waiting
        minds.clear()
        minds.extend([Script(), Script()])  # for a session of each kind of profile
        with tempfile.TemporaryDirectory() as empty:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "testbed", "doctor", "--data", empty, *arguments),
                env=self.environment | environ,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            async with asyncio.timeout(PATIENCE_S):
                said, _ = await process.communicate()
        return process.returncode, said.decode()

    async def findings(self, **environ: str) -> dict[str, list[dict[str, str]]]:
        """By service."""
        code, said = await self.doctor("--json", **environ)
        reports = json.loads(said)
        found = {report["service"]: report["findings"] for report in reports}
        assert list(found) == [service.name for service in SERVICES]
        wrong = any(f["verdict"] == "wrong" for each in found.values() for f in each)
        assert code == (1 if wrong else 0)
        return found


def wrong(found: dict[str, list[dict[str, str]]]) -> set[tuple[str, str]]:
    print(*(f for each in found.values() for f in each if f["verdict"] == "wrong"), sep="\n")
    return {
        (service, finding["check"])
        for service, findings in found.items()
        for finding in findings
        if finding["verdict"] == "wrong"
    }


@pytest.fixture(scope="module")
async def clinic(new_system: Any) -> AsyncIterator[Clinic]:
    port = free_port()
    async with new_system() as world, serve_rest(world.twilio, port=port) as url:
        public = world.stack.public_url
        world.twilio.numbers.owned[world.number] |= {
            "voice_url": f"{public}/twilio/voice",
            "voice_fallback_url": f"{public}/twilio/fallback.xml",
            "voice_fallback_method": "GET",
            "status_callback": f"{public}/twilio/status#rc=5&rp=5xx",
        }
        yield Clinic(world, url)


async def test_a_system_that_is_well(clinic: Clinic) -> None:
    found = await clinic.findings()
    assert wrong(found) == set()
    checks = {service: {f["check"] for f in findings} for service, findings in found.items()}
    nats = {"settings", "nats", "nats version", "jetstream"}
    assert checks == {
        "dashboard": {*nats, "postgres", "migrations", "operators"},
        "webhooks": {
            *(*nats, "twilio", "number", "clock", "public url", "media socket"),
            *("ingress", "assistants"),
        },
        "stream-ingress": {*nats, "agents"},
        "ai-agent": {*nats, "assistants", "openai", "tools"},
        "tool-runner": {*nats, "postgres", "migrations"},
    }


async def test_it_reads_well_and_tells_no_secret(clinic: Clinic) -> None:
    code, said = await clinic.doctor(TWILIO_AUTH_TOKEN="f" * 32)
    assert code == 1
    assert "\nwebhooks\n  ok     settings: All " in said
    assert "  WRONG  twilio: Twilio refuses TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN" in said
    assert "         -> Copy both from the console" in said
    assert said.endswith("3 things are wrong.\n")
    config = clinic.world.stack.config
    secrets = ("f" * 32, config.openai_api_key, config.stream_token_secret)
    assert not any(secret in said for secret in secrets)
    assert "Traceback" not in said


async def test_another_token_here_than_where_it_runs(clinic: Clinic) -> None:
    found = await clinic.findings(TWILIO_AUTH_TOKEN="f" * 32)
    assert wrong(found) == {("webhooks", c) for c in ("twilio", "public url", "media socket")}


async def test_the_wrong_key_and_a_setting_that_is_missing(clinic: Clinic) -> None:
    found = await clinic.findings(OPENAI_API_KEY="another-key", PUBLIC_URL="")
    assert wrong(found) == {
        ("ai-agent", "openai"),
        ("webhooks", "settings"),
        ("stream-ingress", "settings"),
    }
    says = found["webhooks"][0]["says"]
    assert says.startswith("PUBLIC_URL is not set: ")


async def test_nothing_can_be_reached_and_it_still_ends(clinic: Clinic) -> None:
    nobody = free_port()
    found = await clinic.findings(
        NATS_URL=f"nats://127.0.0.1:{nobody}",
        DATABASE_URL=f"postgresql://u:p@127.0.0.1:{nobody}/d",
        TWILIO_API_URL=f"http://127.0.0.1:{nobody}",
        PUBLIC_URL=f"http://127.0.0.1:{nobody}",
        PUBLIC_STREAM_URL=f"ws://127.0.0.1:{nobody}",
        OPENAI_BASE_URL=f"http://127.0.0.1:{nobody}/v1",
    )
    assert wrong(found) == {
        *((service.name, "nats") for service in SERVICES),
        *(("webhooks", check) for check in ("twilio", "public url", "media socket")),
        ("ai-agent", "openai"),
        ("tool-runner", "postgres"),
        ("dashboard", "postgres"),
    }


async def test_no_agent_is_a_finding(clinic: Clinic) -> None:
    """Last: the agent does not come back."""
    await clinic.world.stack.processes["ai-agent-1"].stop(20)
    found = await clinic.findings()
    assert wrong(found) == {("stream-ingress", "agents")}
