"""Our services as they are deployed, and nothing else: the load comes from outside."""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path

from testbed.chaos.world import REPOSITORY
from testbed.layout import AGENT, INGRESS, Ports, StackConfig, migration_folders
from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK
from testbed.stack import Stack

NUMBER = "+15550100002"
ACCOUNT_SID = "AC" + "7" * 32
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
SLOTS = 1_000
DESK_TOKEN = "a-token-of-the-bench"
_PROFILE = Path(__file__).with_name("assistant.toml")


@contextlib.asynccontextmanager
async def running(model_url: str, environment: dict[str, str]) -> AsyncGenerator[Stack]:
    """A fresh system whose model is at `model_url`; `environment` is added for all services."""
    folder = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    try:
        (folder / "assistants").mkdir()
        shutil.copy(_PROFILE, folder / "assistants" / "bench.toml")
        room = {"AGENT_SLOTS": str(SLOTS), "INGRESS_SLOTS": str(SLOTS)}
        config = StackConfig(
            twilio_account_sid=ACCOUNT_SID,
            twilio_auth_token=AUTH_TOKEN,
            twilio_phone_number=NUMBER,
            openai_api_key="a-key-of-the-model",
            stream_token_secret="a-secret-of-stream-tokens",
            assistants_dir=folder / "assistants",
            migrations=migration_folders(REPOSITORY),
            openai_base_url=model_url,
            twilio_api_url=f"http://{LOOPBACK}:1",
            ports=Ports.free(),
            environment=room | {"DASHBOARD_TOKEN": DESK_TOKEN} | environment,
            log_level="info",
        )
        async with Stack(config) as stack:
            yield stack
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pids(stack: Stack) -> dict[str, int]:
    """The processes whose CPU is a call's price, by name."""
    assert isinstance(stack.nats, NatsServer), "the bench runs its own NATS"
    names = {INGRESS: INGRESS, AGENT: f"{AGENT}-1"}
    names |= {name: name for name in ("webhooks", "tool-runner", "dashboard")}
    found = {name: stack.processes[process].pid for name, process in names.items()}
    return found | {"nats": stack.nats.process.pid}
