"""stream-ingress as a process, and as one that lives through a NATS that goes away."""

import asyncio
import socket
import sys
from pathlib import Path

from protocol import events as e
from testbed.nats_server import NatsServer
from testbed.ports import free_ports

GOOD = {
    "PUBLIC_URL": "https://voice.example.com",
    "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
    "TWILIO_AUTH_TOKEN": "0123456789abcdef0123456789abcdef",
    "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
}
WITHIN_S = 30


async def started(**environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream_ingress"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(WITHIN_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_missing_settings_are_a_sentence_each() -> None:
    code, output = await ended(await started())
    assert code == 2
    assert {line.split()[1] for line in output.splitlines()} == GOOD.keys()


async def test_a_taken_port_is_said(nats_server) -> None:
    admin, taken = free_ports(2)
    with socket.socket() as other:
        other.bind(("0.0.0.0", taken))
        other.listen()
        ports = {"INGRESS_PORT": str(taken), "INGRESS_ADMIN_PORT": str(admin)}
        code, output = await ended(await started(**GOOD, **ports, NATS_URL=nats_server.url))
    assert code == 1
    assert f"0.0.0.0:{taken}" in output
    assert "INGRESS_PORT" in output


async def test_sigterm_ends_it_with_0(nats_server) -> None:
    port, admin = free_ports(2)
    ports = {"INGRESS_PORT": str(port), "INGRESS_ADMIN_PORT": str(admin)}
    process = await started(**GOOD, **ports, NATS_URL=nats_server.url)
    try:
        async with asyncio.timeout(WITHIN_S):
            assert process.stdout is not None
            while b"listening" not in await process.stdout.readline():
                pass
    finally:
        process.terminate()
    code, output = await ended(process)
    assert code == 0, output


async def test_a_call_lives_through_an_absence_of_nats(start_world, tmp_path: Path) -> None:
    server = await NatsServer.start(tmp_path / "nats")
    try:
        world = await start_world(NATS_URL=server.url)
        phone, agent = await world.placed()
        clocks = len(agent.of("clock"))
        await server.kill()
        await phone.talk_until(lambda: not world.bus.connected, "NATS is away")
        await phone.talk(200)
        away_until = phone.now_ms
        await server.restart()
        await phone.talk_until(lambda: len(agent.of("clock")) > clocks, "the time is told again")
        await phone.talk_until(lambda: agent.heard[-1][0] == "audio", "and audio behind it")
        kinds = [kind for kind, _ in agent.heard]
        assert kinds[kinds.index("clock", 1) + 1] == "audio"
        assert agent.of("clock")[clocks]["line_ms"] >= away_until
        await phone.hang_up()
        assert (await phone.closed())[0] == 1000
        (stopped,) = await world.logged(phone.call, e.StreamStopped)
        assert stopped.dropped_frames >= 10
        assert stopped.dropped_frames < stopped.frames
        await world.logged(phone.call, e.CallEnded)
    finally:
        world.shutdown.ask()
        await world.serving
        # Before its server is gone: nats-py cannot close a connection that it is still writing to.
        await world.client.close()
        await server.stop()
