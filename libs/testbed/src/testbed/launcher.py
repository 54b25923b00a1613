"""Starts a whole system on this machine: the stack, and a local voice model where no key is given.

Behind `make up` and `make demo`. Real vendors are used where their variables are set; without
TWILIO_* the system listens on loopback alone, under an account made up for this run.
"""

import asyncio
import secrets
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.layout import Ports, StackConfig, example_tools, migration_folders
from testbed.ports import LOOPBACK, free_port
from testbed.process import Process, StartError
from testbed.screen import Screen
from testbed.stack import Stack
from testbed.system import FILE, System

DEFAULT_NUMBER = "+15550100002"
OUTBOUND_PREFIXES = "+1555"
"""What a system without a real Twilio may dial: the testbed's own numbers."""
NAME = "voice-model"
_PORTS = {
    "dashboard": "DASHBOARD_PORT",
    "webhooks": "WEBHOOKS_PORT",
    "ingress": "INGRESS_PORT",
    "webhooks_admin": "WEBHOOKS_ADMIN_PORT",
    "ingress_admin": "INGRESS_ADMIN_PORT",
    "agent_admin": "AGENT_ADMIN_PORT",
    "tool_runner_admin": "TOOL_RUNNER_ADMIN_PORT",
    "dashboard_admin": "DASHBOARD_ADMIN_PORT",
}
_OURS = (
    *("NATS_URL", "DATABASE_URL", "PUBLIC_URL", "PUBLIC_STREAM_URL", "DASHBOARD_URL"),
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"),
    *("TWILIO_PHONE_NUMBER", "STREAM_TOKEN_SECRET", "LOG_FORMAT", "LOG_LEVEL", *_PORTS.values()),
)
"""Variables that the launcher decides about itself; all others go to the services as they are."""


@dataclass(frozen=True)
class Launch:
    """How to start. `environment` is the user's: services get all of it but what we decide."""

    repository: Path
    data: Path
    environment: Mapping[str, str]
    free_ports: bool = False
    agents: int = 1
    show_logs: bool = False
    assistants: Path | None = None
    """Folder of the profiles, if not the repository's."""


@dataclass(frozen=True)
class Running:
    """A started system."""

    stack: Stack
    system: System
    model: "VoiceModel | None"
    """The local one, None where a key was given."""

    @property
    def local_model(self) -> bool:
        return self.model is not None


@asynccontextmanager
async def running(launch: Launch, screen: Screen) -> AsyncGenerator[Running]:
    """The system of `launch` for the block; StartError in one sentence if it cannot start."""
    given = {name: value for name, value in launch.environment.items() if value}
    local_model = "OPENAI_API_KEY" not in given
    logs = launch.data / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / "services.log").open("w") as log:

        def on_line(name: str, line: str) -> None:
            log.write(f"{name}: {line}\n")
            log.flush()
            if launch.show_logs:
                print(f"{name:14} {line}", flush=True)

        model = await _voice_model(on_line, screen) if local_model else None
        try:
            base_url = model.base_url if model else given.get("OPENAI_BASE_URL")
            config = _config(launch, given, base_url, screen)
            stack = Stack(replace(config, on_line=on_line))
            async with stack:
                system = System(
                    webhooks_url=f"http://{LOOPBACK}:{stack.config.ports.webhooks}",
                    account_sid=config.twilio_account_sid,
                    auth_token=config.twilio_auth_token.split(",")[0],
                    number=config.twilio_phone_number,
                    nats_url=stack.nats_url,
                    database_url=stack.database_url,
                    dashboard_url=stack.dashboard_url,
                    processes={n: p.pid for n, p in stack.processes.items()},
                )
                system.save(launch.data)
                try:
                    yield Running(stack, system, model)
                finally:
                    (launch.data / FILE).unlink(missing_ok=True)
        finally:
            if model is not None:
                await model.stop()


class VoiceModel:
    """The local voice model: may be stopped and started again under the same address."""

    def __init__(self, on_line: Callable[[str, str], None]) -> None:
        port = free_port()
        self.base_url = f"http://{LOOPBACK}:{port}/v1"
        argv = [sys.executable, "-m", "testbed.realtime", "--port", str(port), "--processes", "2"]
        self.process = Process(NAME, argv, on_line=lambda line: on_line(NAME, line))

    async def start(self) -> None:
        """Start it and wait until it accepts sessions. Raises StartError."""
        await self.process.start()
        try:
            await self.process.saw(f"local voice model at {self.base_url}", 60)
        except (StartError, TimeoutError):
            await self.stop()
            complaint = self.process.complaint()
            raise StartError(f"the local voice model did not start: {complaint}") from None

    async def stop(self) -> None:
        """Stop it; its sessions end."""
        await self.process.stop(5)


async def _voice_model(on_line: Callable[[str, str], None], screen: Screen) -> VoiceModel:
    model = VoiceModel(on_line)
    await model.start()
    screen.step("local voice model (hears and speaks; no key needed)")
    return model


def _config(
    launch: Launch, given: Mapping[str, str], base_url: str | None, screen: Screen
) -> StackConfig:
    real_twilio = "TWILIO_AUTH_TOKEN" in given and "TWILIO_ACCOUNT_SID" in given
    if real_twilio and "PUBLIC_URL" not in given:
        raise StartError(
            "TWILIO_AUTH_TOKEN is set but PUBLIC_URL is not: set it to the https address under"
            " which Twilio reaches the webhooks"
        )
    settings = {n: v for n, v in given.items() if n.isupper() and n not in _OURS}
    if not real_twilio:
        settings |= {"WEBHOOKS_HOST": LOOPBACK, "INGRESS_HOST": LOOPBACK}
        settings.setdefault("OUTBOUND_PREFIXES", OUTBOUND_PREFIXES)
    settings.setdefault("BROWSER_PHONE", "1")
    ports = Ports.free() if launch.free_ports else Ports()
    chosen = {
        field: int(given[variable])
        for field, variable in _PORTS.items()
        if given.get(variable, "").isdigit()
    }
    return StackConfig(
        twilio_account_sid=given.get("TWILIO_ACCOUNT_SID", "AC" + secrets.token_hex(16)),
        twilio_auth_token=given.get("TWILIO_AUTH_TOKEN", secrets.token_hex(16)),
        twilio_phone_number=given.get("TWILIO_PHONE_NUMBER", DEFAULT_NUMBER),
        openai_api_key=given.get("OPENAI_API_KEY", "no-key-needed"),
        stream_token_secret=given.get("STREAM_TOKEN_SECRET", secrets.token_urlsafe(32)),
        assistants_dir=launch.assistants or launch.repository / "assistants",
        migrations=migration_folders(launch.repository),
        openai_base_url=base_url,
        nats_url=given.get("NATS_URL"),
        database_url=given.get("DATABASE_URL"),
        public_url=given.get("PUBLIC_URL"),
        public_stream_url=given.get("PUBLIC_STREAM_URL"),
        dashboard_url=given.get("DASHBOARD_URL"),
        data_dir=launch.data,
        ports=Ports(**(vars(ports) | chosen)),
        agents=launch.agents,
        log_format=given.get("LOG_FORMAT", "console"),
        log_level=given.get("LOG_LEVEL", "info"),
        environment=settings,
        tools=example_tools(launch.repository),
        on_progress=screen.step,
    )


async def until_stopped(stack: Stack) -> str | None:
    """Wait for Ctrl-C or SIGTERM (None), or for a process that ends (a sentence)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    failed = asyncio.create_task(stack.failed())
    try:
        await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        return failed.result() if failed.done() else None
    finally:
        for task in (stopped, failed):
            task.cancel()
