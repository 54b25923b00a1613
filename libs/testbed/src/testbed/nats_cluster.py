"""A three-node NATS cluster with JetStream on loopback, for what happens when a node is lost.

Owns three embedded servers. It never creates streams; `replicate` gives those that services have
created a copy on every node.
"""

import asyncio
from pathlib import Path
from typing import Any, Self

import httpx
import nats
from nats.js.errors import APIError
from nats.js.errors import Error as JetStreamError

from testbed.nats_server import Member, NatsServer
from testbed.ports import free_ports
from testbed.process import StartError

NODES = 3
_READY_S = 30.0


class NatsCluster:
    """Running nodes."""

    def __init__(self, nodes: list[NatsServer]) -> None:
        self.nodes = nodes

    @property
    def url(self) -> str:
        """The addresses of all nodes, as NATS_URL takes them."""
        return ",".join(node.url for node in self.nodes)

    @classmethod
    async def start(cls, store_dir: Path) -> Self:
        """Start the nodes with their stores below `store_dir` and wait until they have a leader.

        Raises StartError.
        """
        routes = tuple(free_ports(NODES))
        nodes: list[NatsServer] = []
        cluster = cls(nodes)
        try:
            for number, route_port in enumerate(routes, start=1):
                member = Member("trunkline", route_port, routes)
                name = f"node-{number}"
                nodes.append(await NatsServer.start(store_dir / name, name=name, member=member))
            await cluster._has_a_leader()
        except BaseException:
            await cluster.stop()
            raise
        return cluster

    async def stop(self) -> None:
        """End every node."""
        for node in self.nodes:
            await node.stop()

    async def replicate(self) -> None:
        """Give every stream a replica on each node, and wait until all are current."""
        client = await nats.connect(servers=[node.url for node in self.nodes if node.running])
        try:
            manager = client.jsm()
            async with asyncio.timeout(_READY_S):
                for info in await manager.streams_info():
                    info.config.num_replicas = NODES
                    await manager.update_stream(info.config)
                    while not _replicated(await manager.stream_info(str(info.config.name))):  # noqa: ASYNC110 - a server's state
                        await asyncio.sleep(0.1)
        except (APIError, JetStreamError, TimeoutError) as error:
            raise StartError(f"the streams could not be replicated: {error!r}") from error
        finally:
            await client.close()

    async def leader_of(self, stream: str) -> NatsServer:
        """The node that leads a stream. Raises StartError when none does."""
        client = await nats.connect(servers=[node.url for node in self.nodes if node.running])
        try:
            info = await client.jsm().stream_info(stream)
        finally:
            await client.close()
        leader = info.cluster.leader if info.cluster is not None else None
        for node in self.nodes:
            if node.name == leader:
                return node
        raise StartError(f"no node leads {stream}")

    async def _has_a_leader(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            try:
                async with asyncio.timeout(_READY_S):
                    while not await self._ready(client):  # noqa: ASYNC110 - servers' state
                        await asyncio.sleep(0.1)
            except TimeoutError:
                raise StartError("the NATS cluster elected no leader") from None

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        for node in self.nodes:
            try:
                answer = await client.get(f"{node.monitor_url}/healthz")
                told: dict[str, Any] = (await client.get(f"{node.monitor_url}/jsz")).json()
            except (httpx.TransportError, ValueError):
                return False
            if answer.status_code != 200 or not told.get("meta_cluster", {}).get("leader"):
                return False
        return True


def _replicated(info: Any) -> bool:
    cluster = info.cluster
    replicas = cluster.replicas if cluster is not None and cluster.leader else None
    return replicas is not None and len(replicas) == NODES - 1 and all(r.current for r in replicas)
