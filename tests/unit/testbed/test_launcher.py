"""What the launcher decides about a system: whom it may dial, and which tools run beside it."""

from pathlib import Path

import pytest

from testbed.launcher import Launch, _config
from testbed.layout import tool_environment
from testbed.screen import Screen

ROOT = Path(__file__).parents[3]
TWILIO = {
    "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
    "TWILIO_AUTH_TOKEN": "t" * 32,
    "PUBLIC_URL": "https://voice.example.com",
}


def config(**given):
    return _config(Launch(ROOT, ROOT / ".run", given), given, None, Screen())


@pytest.mark.parametrize(
    ("given", "prefixes"),
    [
        ({}, "+1555"),
        ({"OUTBOUND_PREFIXES": "+49"}, "+49"),
        (TWILIO, None),
        (TWILIO | {"OUTBOUND_PREFIXES": "+49"}, "+49"),
    ],
    ids=["simulated", "simulated, by the user", "real", "real, by the user"],
)
def test_only_a_simulated_telephone_may_be_dialled_unasked(given, prefixes):
    assert config(**given).environment.get("OUTBOUND_PREFIXES") == prefixes


def test_the_tools_of_the_examples_run_beside_the_services():
    (name,) = config().tools
    assert name == "tool-opening-hours"
    assert config().tools[name].is_file()


def test_a_tool_gets_none_of_the_secrets(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")
    env = tool_environment("nats://127.0.0.1:4222")
    assert env["NATS_URL"] == "nats://127.0.0.1:4222"
    assert "OPENAI_API_KEY" not in env
