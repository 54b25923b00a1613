"""What a Trunkline system consists of, as data: processes, ports, and each one's environment.

Read by the stack, the launcher and tests. It starts nothing.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from testbed.ports import LOOPBACK, free_ports

# What a program needs from its surroundings to run at all. Nothing else is passed on, so that
# settings of the shell do not leak into a system that was described in full.
_SYSTEM_VARIABLES = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"),
)
AGENT = "ai-agent"
INGRESS = "stream-ingress"
TOOL_RUNNER = "tool-runner"


@dataclass(frozen=True)
class Ports:
    """The loopback ports of one system; 0 = a free one, chosen when the stack is made.

    The defaults are the documented ones (`make up`, `make demo`).
    """

    dashboard: int = 8080
    webhooks: int = 8081
    ingress: int = 8082
    webhooks_admin: int = 9081
    ingress_admin: int = 9082
    agent_admin: int = 9083
    tool_runner_admin: int = 9084
    dashboard_admin: int = 9085
    nats: int = 4222
    nats_monitor: int = 8222
    postgres: int = 15432

    @classmethod
    def free(cls) -> "Ports":
        """Free ports throughout, for tests and second instances."""
        names = [each.name for each in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))


@dataclass(frozen=True)
class StackConfig:
    """Everything that a stack must know. A url of None stands for our own server.

    `twilio_api_url` and `openai_base_url` None mean the vendors' real ones. `overrides` adds or
    replaces variables of one service ("ai-agent" = every worker, "ai-agent-2" = that one).
    `ingresses` above 1 need `public_stream_url`, the address of what spreads calls over them.
    `environment` is added for all services, below what the stack itself sets. `data_dir` None is
    a temporary folder. `on_line` gets every output line of a process (name, line), `on_progress`
    a word on each step of the start. `commands` replaces the argv of a service (tests of the
    stack itself). `tools` are further tool services, process name -> Python program, which find
    NATS_URL in their environment.
    """

    twilio_account_sid: str
    twilio_auth_token: str
    twilio_phone_number: str
    openai_api_key: str
    stream_token_secret: str
    assistants_dir: Path
    migrations: Mapping[str, Path]
    openai_base_url: str | None = None
    twilio_api_url: str | None = None
    nats_url: str | None = None
    database_url: str | None = None
    public_url: str | None = None
    public_stream_url: str | None = None
    dashboard_url: str | None = None
    data_dir: Path | None = None
    ports: Ports = field(default_factory=Ports)
    agents: int = 1
    ingresses: int = 1
    log_format: str = "json"
    log_level: str = "info"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    commands: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])
    tools: Mapping[str, Path] = field(default_factory=dict[str, Path])
    on_line: Callable[[str, str], None] | None = None
    on_progress: Callable[[str], None] | None = None
    ready_timeout_s: float = 60.0
    stop_grace_s: float = 15.0


@dataclass(frozen=True)
class Service:
    """One of the five programs: module to run, its ports as (variable, field of Ports).

    `stop_rank`: services of one rank are stopped together, lower ranks first; callers of others
    go before those they call, so that what is still open can be finished.
    """

    name: str
    module: str
    admin: tuple[str, str]
    public: tuple[str, str] | None
    stop_rank: int


SERVICES = (
    Service(
        "dashboard",
        "dashboard",
        ("DASHBOARD_ADMIN_PORT", "dashboard_admin"),
        ("DASHBOARD_PORT", "dashboard"),
        0,
    ),
    Service(
        "webhooks",
        "webhooks",
        ("WEBHOOKS_ADMIN_PORT", "webhooks_admin"),
        ("WEBHOOKS_PORT", "webhooks"),
        0,
    ),
    Service(
        INGRESS,
        "stream_ingress",
        ("INGRESS_ADMIN_PORT", "ingress_admin"),
        ("INGRESS_PORT", "ingress"),
        1,
    ),
    Service(AGENT, "ai_agent", ("AGENT_ADMIN_PORT", "agent_admin"), None, 2),
    Service(TOOL_RUNNER, "tool_runner", ("TOOL_RUNNER_ADMIN_PORT", "tool_runner_admin"), None, 3),
)


def migration_folders(repository: Path) -> dict[str, Path]:
    """Service name -> its folder of migrations, for every service of the repository with one."""
    folders = sorted(repository.glob("services/*/migrations"))
    return {folder.parent.name: folder for folder in folders}


def example_tools(repository: Path) -> dict[str, Path]:
    """Process name -> program of the tool services in examples/, which profiles that ship use."""
    programs = {folder: folder / f"{folder.name}.py" for folder in repository.glob("examples/*/")}
    return {
        f"tool-{folder.name.replace('_', '-')}": program
        for folder, program in sorted(programs.items())
        if program.is_file()
    }


def public_urls(config: StackConfig) -> dict[str, str]:
    """The addresses that the outside world uses: PUBLIC_URL, PUBLIC_STREAM_URL, DASHBOARD_URL."""
    ports = config.ports
    return {
        "PUBLIC_URL": config.public_url or f"http://{LOOPBACK}:{ports.webhooks}",
        "PUBLIC_STREAM_URL": config.public_stream_url or f"ws://{LOOPBACK}:{ports.ingress}",
        "DASHBOARD_URL": config.dashboard_url or f"http://{LOOPBACK}:{ports.dashboard}",
    }


def tool_environment(nats_url: str) -> dict[str, str]:
    """The variables of a tool service that is none of the five: no secret of theirs."""
    return _surroundings() | {"PYTHONUNBUFFERED": "1", "NATS_URL": nats_url}


def _surroundings() -> dict[str, str]:
    return {name: os.environ[name] for name in _SYSTEM_VARIABLES if name in os.environ}


def common_environment(config: StackConfig, nats_url: str, database_url: str) -> dict[str, str]:
    """The variables that every service of the system gets."""
    env = _surroundings() | dict(config.environment)
    env |= {
        "PYTHONUNBUFFERED": "1",
        "NATS_URL": nats_url,
        "DATABASE_URL": database_url,
        "TWILIO_ACCOUNT_SID": config.twilio_account_sid,
        "TWILIO_AUTH_TOKEN": config.twilio_auth_token,
        "TWILIO_PHONE_NUMBER": config.twilio_phone_number,
        "OPENAI_API_KEY": config.openai_api_key,
        "STREAM_TOKEN_SECRET": config.stream_token_secret,
        "ASSISTANTS_DIR": str(config.assistants_dir),
        "LOG_FORMAT": config.log_format,
        "LOG_LEVEL": config.log_level,
    }
    for service in SERVICES:
        for variable, port in filter(None, (service.admin, service.public)):
            env[variable] = str(getattr(config.ports, port))
    if config.openai_base_url is not None:
        env["OPENAI_BASE_URL"] = config.openai_base_url
    if config.twilio_api_url is not None:
        env["TWILIO_API_URL"] = config.twilio_api_url
    return env | public_urls(config)
