"""The whole Trunkline system as separate processes: NATS, PostgreSQL, migrations, five services.

Started by the launcher (`make up`, `make demo`) and by tests, which also kill and restart single
processes through it. The simulated Twilio and OpenAI are not part of it: it takes their urls. It
never restarts a process by itself.
"""

import asyncio
import sys
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from testbed import infra
from testbed.data_folder import DataFolder
from testbed.layout import (
    AGENT,
    INGRESS,
    SERVICES,
    TOOL_RUNNER,
    Ports,
    Service,
    StackConfig,
    common_environment,
    public_urls,
    tool_environment,
)
from testbed.migrations import migrate, migrations_table
from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK, free_port, is_free
from testbed.postgres import Postgres
from testbed.process import Process, StartError

_KEPT_LINES = 2000


class Stack:
    """A running system. Use it as an async context manager, or `start` and `stop` it.

    `processes` maps names (dashboard, webhooks, stream-ingress, ai-agent-1, ..., tool-runner, and
    those of config.tools) to their processes; `lines` holds the newest output lines of all as
    (name, line), in order. `nats` and `postgres` are the servers; only embedded ones can be killed
    and restarted.
    """

    nats: NatsServer | infra.GivenNats
    postgres: Postgres | infra.GivenPostgres

    def __init__(self, config: StackConfig) -> None:
        free = Ports.free()
        chosen = {name: port or getattr(free, name) for name, port in vars(config.ports).items()}
        self.config = replace(config, ports=Ports(**chosen))
        urls = public_urls(self.config)
        self.public_url = urls["PUBLIC_URL"]
        self.public_stream_url = urls["PUBLIC_STREAM_URL"]
        self.dashboard_url = urls["DASHBOARD_URL"]
        self.processes: dict[str, Process] = {}
        self.lines: deque[tuple[str, str]] = deque(maxlen=_KEPT_LINES)
        self._environment: dict[str, str] = {}
        self._services: dict[str, Service] = {}
        self._admin_ports: dict[str, int] = {}
        self.ingress_ports: dict[str, int] = {}
        """Where each ingress listens for media sockets, by process name."""
        self._servers = AsyncExitStack()

    @property
    def nats_url(self) -> str:
        return self.nats.url

    @property
    def database_url(self) -> str:
        return self.postgres.dsn

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start everything and wait until every /readyz says so.

        Raises StartError in one sentence (a taken port, a folder in use, a process that died); by
        then all that was started has been stopped again.
        """
        for known in (self.processes, self._services, self._admin_ports, self.ingress_ports):
            known.clear()
        try:
            await self._start_servers()
            for service in SERVICES:
                if service.name == AGENT:
                    for number in range(1, self.config.agents + 1):
                        self._add(service, f"{AGENT}-{number}")
                else:
                    self._add(service, service.name)
                if service.name == INGRESS:
                    for number in range(2, self.config.ingresses + 1):
                        self._add(service, f"{INGRESS}-{number}")
            # All at once: each waits by itself for what it needs.
            for process in self.processes.values():
                await process.start()
            # Behind the planner's tools, so that no agent takes these alone for all.
            await self._all_ready([TOOL_RUNNER])
            await self._start_tools()
            await self._all_ready([name for name in self._services if name != TOOL_RUNNER])
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop services (callers before those they call), then the servers; free the folder."""
        ranks = sorted({service.stop_rank for service in self._services.values()})
        try:
            for rank in ranks:
                async with asyncio.TaskGroup() as group:
                    for name, service in self._services.items():
                        process = self.processes[name]
                        if service.stop_rank == rank and process.running:
                            group.create_task(process.stop(self.config.stop_grace_s))
            for name in self.config.tools:
                if name in self.processes and self.processes[name].running:
                    await self.processes[name].stop(self.config.stop_grace_s)
        finally:
            for process in self.processes.values():
                if process.running:
                    process.kill()
                    await process.wait()
            await self._servers.aclose()

    async def add_agent(self) -> str:
        """Start one more agent worker and wait until it is ready; its name."""
        number = 1 + sum(service.name == AGENT for service in self._services.values())
        name = f"{AGENT}-{number}"
        service = next(service for service in SERVICES if service.name == AGENT)
        self._add(service, name)
        await self.restart(name)
        return name

    async def restart(self, name: str) -> None:
        """Stop the process if it runs, start it again and wait until it is ready."""
        process = self.processes[name]
        if process.running:
            await process.stop(self.config.stop_grace_s)
        await process.start()
        await self._all_ready([name] if name in self._services else [])

    async def failed(self) -> str:
        """Wait until any process has ended, embedded servers included; one sentence that says
        which, how and its last word."""
        watched = list(self.processes.values())
        for server in (self.nats, self.postgres):
            if isinstance(server, NatsServer | Postgres):
                watched.append(server.process)
        waits = {asyncio.create_task(process.wait()): process for process in watched}
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        ended = waits[done.pop()]
        return f"{ended.name} ended with code {ended.returncode}: {ended.complaint()}"

    def admin_url(self, name: str) -> str:
        """Base url of a process's /livez, /readyz and /metrics."""
        return f"http://{LOOPBACK}:{self._admin_ports[name]}"

    async def _start_servers(self) -> None:
        config = self.config
        folder = DataFolder.hold(config.data_dir)
        self._servers.callback(folder.release)
        self._refuse_taken_ports()
        nats = infra.nats(
            config.nats_url,
            folder.path / "nats",
            port=config.ports.nats,
            monitor_port=config.ports.nats_monitor,
        )
        self.nats = await self._servers.enter_async_context(nats)
        self._progress(f"NATS with JetStream at {self.nats_url}")
        postgres = infra.postgres(
            config.database_url, folder.path / "postgres", port=config.ports.postgres
        )
        self.postgres = await self._servers.enter_async_context(postgres)
        self._progress("PostgreSQL")
        for service, migrations in config.migrations.items():
            await migrate(self.database_url, migrations, table=migrations_table(service))
            self._progress(f"migrations of {service}")
        self._environment = common_environment(config, self.nats_url, self.database_url)

    def _refuse_taken_ports(self) -> None:
        for service in SERVICES:
            for variable, field in filter(None, (service.admin, service.public)):
                port = getattr(self.config.ports, field)
                if not is_free(port):
                    raise StartError(
                        f"port {port} for {service.name} is taken: stop what listens there or set"
                        f" {variable} to another port"
                    )

    def _add(self, service: Service, name: str) -> None:
        variable, field = service.admin
        first_of_its_kind = service not in self._services.values()
        port = getattr(self.config.ports, field) if first_of_its_kind else free_port()
        env = self._environment | {variable: str(port)}
        if service.name == INGRESS:
            public = self.config.ports.ingress if first_of_its_kind else free_port()
            env["INGRESS_PORT"] = str(public)
            self.ingress_ports[name] = public
        if service.name == AGENT:
            env["AGENT_WORKER"] = name
        for key in dict.fromkeys((service.name, name)):
            env |= self.config.overrides.get(key, {})
        argv = self.config.commands.get(service.name, [sys.executable, "-m", service.module])
        self._services[name] = service
        self._admin_ports[name] = int(env[variable])
        self.processes[name] = self._process(name, argv, env)

    async def _start_tools(self) -> None:
        for name, program in self.config.tools.items():
            argv = [sys.executable, str(program)]
            self.processes[name] = self._process(name, argv, tool_environment(self.nats_url))
            await self.processes[name].start()
            self._progress(name)

    def _process(self, name: str, argv: list[str], env: dict[str, str]) -> Process:
        def take(line: str) -> None:
            self.lines.append((name, line))
            if self.config.on_line is not None:
                self.config.on_line(name, line)

        return Process(name, argv, env=env, on_line=take)

    async def _ready(self, name: str, url: str) -> None:
        await self.processes[name].ready(url, self.config.ready_timeout_s)
        self._progress(name)

    def _progress(self, step: str) -> None:
        if self.config.on_progress is not None:
            self.config.on_progress(step)

    async def _all_ready(self, names: list[str]) -> None:
        failed: StartError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    url = f"{self.admin_url(name)}/readyz"
                    group.create_task(self._ready(name, url))
        except* StartError as group_error:
            # The first one is the cause; the others were cancelled or followed from it.
            failed = StartError(str(group_error.exceptions[0]))
        if failed is not None:
            raise failed
