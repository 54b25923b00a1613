"""The system under faults and everything around it: stack, model, phone, relays, what it holds.

Made anew for each row, so that no fault of one row is felt in the next.
"""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from testbed.chaos.mind import Minds
from testbed.follower import Follower
from testbed.layout import AGENT, Ports, StackConfig, migration_folders
from testbed.nats_cluster import NatsCluster
from testbed.ports import LOOPBACK, free_port
from testbed.realtime.connection import Connection
from testbed.realtime.host import Habits
from testbed.realtime.server import RealtimeServer
from testbed.relay import Relay
from testbed.stack import Stack
from testbed.twilio import SimulatedTwilio, TwilioAccount, serve_rest

REPOSITORY = Path(__file__).resolve().parents[5]
NUMBER = "+15550100002"
AGENTS = 3
PACE = 2.0
"""The model speaks twice as fast as it is heard: of a usual answer half a second to a second is
still to come when something strikes.
"""
_PROFILE = Path(__file__).with_name("assistant.toml")
_KEY = "a-key-of-the-model"


@dataclass(frozen=True, slots=True)
class Needs:
    """What a row needs beyond the usual system."""

    ingresses: int = 1
    relays: bool = False
    """Every agent reaches NATS through a relay of its own."""
    cluster: bool = False
    """NATS is a three-node cluster."""


class World:
    """A running system, its callers' telephone network and its model."""

    def __init__(
        self,
        stack: Stack,
        twilio: SimulatedTwilio,
        model: RealtimeServer,
        minds: Minds,
        follower: Follower,
        relays: dict[str, Relay],
        cluster: NatsCluster | None,
    ) -> None:
        self.stack = stack
        self.twilio = twilio
        self.model = model
        self.minds = minds
        self.follower = follower
        self.relays = relays
        """Between each agent (by process name) and NATS, where the row needs them."""
        self.cluster = cluster

    def worker_of(self, call_id: str) -> str:
        """The process that holds a call, as the log says; "" before it is assigned."""
        assigned = self.follower.of(call_id, "assigned")
        return str(assigned[-1]["worker"]) if assigned else ""

    def ingress_of(self, call_id: str) -> str:
        """The process that has a call's newest stream; "" when it has gone since."""
        started = self.follower.of(call_id, "stream_started")
        for name in self.stack.ingress_ports:
            process = self.stack.processes[name]
            if started and process.running and str(process.pid) in started[-1]["ingress"]:
                return name
        return ""

    def session_of(self, call_id: str) -> Connection | None:
        """The model's open socket of a call."""
        opened = self.follower.of(call_id, "session_opened")
        for connection in self.model.connections if opened else ():
            session = connection.session
            if session is not None and session.id == opened[-1]["session_id"]:
                return connection
        return None

    async def todos(self) -> list[str]:
        """Descriptions of every todo in the database."""
        connect: Any = asyncpg.connect  # pyright: ignore[reportUnknownVariableType]
        database = await connect(self.stack.database_url)
        try:
            rows: Any = await database.fetch("select description from todos")
            return [str(row["description"]) for row in rows]
        finally:
            await database.close()


@contextlib.asynccontextmanager
async def running(
    minds: Minds, needs: Needs, log: Path, on_event: Callable[[dict[str, Any]], None]
) -> AsyncGenerator[World]:
    """A fresh system for one run; its processes' output goes to the file `log`."""
    ports, public = Ports.free(), free_port()
    async with contextlib.AsyncExitStack() as opened:
        folder = Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
        opened.callback(shutil.rmtree, folder, ignore_errors=True)
        (folder / "assistants").mkdir()
        shutil.copy(_PROFILE, folder / "assistants" / "chaos.toml")
        lines = opened.enter_context(log.open("w"))
        model = await opened.enter_async_context(
            RealtimeServer(minds, api_key=_KEY, habits=Habits(pace=PACE), record=False)
        )
        account = TwilioAccount(
            "AC" + "7" * 32,
            "0123456789abcdef0123456789abcdef",
            NUMBER,
            f"http://{LOOPBACK}:{ports.webhooks}/twilio/voice",
            status_callback=f"http://{LOOPBACK}:{ports.webhooks}/twilio/status",
        )
        twilio = await opened.enter_async_context(SimulatedTwilio(account))
        rest = await opened.enter_async_context(serve_rest(twilio))
        cluster: NatsCluster | None = None
        if needs.cluster:
            cluster = await NatsCluster.start(folder / "cluster")
            opened.push_async_callback(cluster.stop)
        relays: dict[str, Relay] = {}
        if needs.relays:
            for number in range(1, AGENTS + 1):
                relay = Relay(lambda: [ports.nats])
                relays[f"{AGENT}-{number}"] = await opened.enter_async_context(relay)
        overrides = {
            name: {"NATS_URL": f"nats://{LOOPBACK}:{relay.port}"} for name, relay in relays.items()
        }
        config = StackConfig(
            twilio_account_sid=account.sid,
            twilio_auth_token=account.auth_token,
            twilio_phone_number=NUMBER,
            openai_api_key=_KEY,
            stream_token_secret="a-secret-of-stream-tokens",
            assistants_dir=folder / "assistants",
            migrations=migration_folders(REPOSITORY),
            openai_base_url=model.base_url,
            twilio_api_url=rest,
            nats_url=cluster.url if cluster is not None else None,
            public_stream_url=f"ws://{LOOPBACK}:{public}" if needs.ingresses > 1 else None,
            ports=ports,
            agents=AGENTS,
            ingresses=needs.ingresses,
            environment={"INGRESS_DRAIN_S": "2"},
            overrides=overrides,
            on_line=lambda name, line: print(f"{name}: {line}", file=lines, flush=True),
        )
        stack = Stack(config)
        if needs.ingresses > 1:
            balancer = Relay(
                lambda: list(stack.ingress_ports.values()), port=public, asks_next=True
            )
            await opened.enter_async_context(balancer)
        await opened.enter_async_context(stack)
        if cluster is not None:
            await cluster.replicate()
        url = stack.nats_url.partition(",")[0]
        follower = await opened.enter_async_context(Follower(url, on_event=on_event))
        yield World(stack, twilio, model, minds, follower, relays, cluster)
