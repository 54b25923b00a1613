"""The three-node NATS of the chaos runs: every stream on every node, and no acked event is lost
with one of them.
"""

import asyncio
from pathlib import Path

import nats
import nats.errors
import nats.js.errors

from testbed.nats_cluster import NODES, NatsCluster

PATIENCE_S = 60.0


async def test_a_stream_survives_the_loss_of_its_leader(tmp_path: Path) -> None:
    cluster = await NatsCluster.start(tmp_path)
    try:
        client = await nats.connect(servers=cluster.url.split(","), error_cb=_ignore)
        try:
            stream = client.jetstream()
            await stream.add_stream(name="EVENTS", subjects=["event.>"])
            await cluster.replicate()
            info = await client.jsm().stream_info("EVENTS")
            assert info.config.num_replicas == NODES
            assert (await stream.publish("event.one", b"kept")).seq == 1
            leader = await cluster.leader_of("EVENTS")
            await leader.kill()
            assert await _published(client, b"after", "an-id") == 2
            assert (await cluster.leader_of("EVENTS")) is not leader
            assert (await client.jsm().get_msg("EVENTS", 1)).data == b"kept"
            await leader.restart()
        finally:
            await client.close()
    finally:
        await cluster.stop()


async def _published(client: nats.NATS, data: bytes, message_id: str) -> int:
    """Resent under one id until the election is over; the sequence."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                ack = await client.jetstream().publish(
                    "event.two", data, timeout=2, headers={"Nats-Msg-Id": message_id}
                )
            except (nats.errors.Error, nats.js.errors.Error, TimeoutError):
                await asyncio.sleep(0.1)
            else:
                return ack.seq


async def _ignore(error: Exception) -> None:
    """Losing a connection is what this test is about."""
