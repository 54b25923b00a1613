"""webhooks as a process: what it says about wrong settings, when it is ready, how it ends."""

import asyncio
import sys
from typing import Protocol

import httpx
import pytest

from testbed.ports import free_ports

GOOD = {
    "PUBLIC_URL": "http://127.0.0.1:8081",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "a" * 32,
    "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
}
WITHIN_S = 30


class HasUrl(Protocol):
    url: str


async def started(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "webhooks",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    async with asyncio.timeout(WITHIN_S):
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize(
    ("wrong", "variables"),
    [
        ({"PUBLIC_URL": "http://voice.example.com"}, ["PUBLIC_URL"]),
        ({"STREAM_TOKEN_SECRET": "hunter2"}, ["STREAM_TOKEN_SECRET"]),
        (
            {"TWILIO_AUTH_TOKEN": "", "TWILIO_ACCOUNT_SID": ""},
            ["TWILIO_ACCOUNT_SID", "TWILIO_AUTH_TOKEN"],
        ),
    ],
)
async def test_wrong_settings_are_a_sentence_each(
    wrong: dict[str, str], variables: list[str]
) -> None:
    code, output = await ended(await started(**(GOOD | wrong)))
    assert code == 2
    assert [line.split()[:2] for line in output.splitlines()] == [
        ["webhooks:", v] for v in variables
    ]
    assert "hunter2" not in output


async def test_an_unreachable_nats_and_a_taken_port_are_a_sentence(nats_server: HasUrl) -> None:
    nobody, admin = free_ports(2)
    away = GOOD | {"NATS_URL": f"nats://127.0.0.1:{nobody}", "STARTUP_WAIT_S": "1"}
    code, output = await ended(await started(**away, WEBHOOKS_ADMIN_PORT=str(admin)))
    assert code == 1
    assert "NATS_URL" in output
    assert "Traceback" not in output
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    try:
        taken = str(server.sockets[0].getsockname()[1])
        process = await started(
            **GOOD,
            NATS_URL=nats_server.url,
            WEBHOOKS_HOST="127.0.0.1",
            WEBHOOKS_PORT=taken,
            WEBHOOKS_ADMIN_PORT=str(admin),
        )
        code, output = await ended(process)
    finally:
        server.close()
        await server.wait_closed()
    assert code == 1
    assert "WEBHOOKS_PORT" in output
    assert "Traceback" not in output


async def test_it_gets_ready_serves_and_ends_on_sigterm(nats_server: HasUrl) -> None:
    public, admin = free_ports(2)
    process = await started(
        **GOOD,
        NATS_URL=nats_server.url,
        WEBHOOKS_PORT=str(public),
        WEBHOOKS_ADMIN_PORT=str(admin),
    )
    try:
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(WITHIN_S):
            while True:
                try:
                    ready = await http.get(f"http://127.0.0.1:{admin}/readyz")
                except httpx.TransportError:
                    ready = None
                if ready is not None and ready.status_code == 200:
                    break
                await asyncio.sleep(0.05)
            # Ready means that requests are answered.
            answer = await http.post(f"http://127.0.0.1:{public}/twilio/voice", data={"a": "b"})
            assert answer.status_code == 403
            metrics = await http.get(f"http://127.0.0.1:{admin}/metrics/")
            assert 'trunkline_webhooks_refused_total{reason="wrong signature"} 1.0' in metrics.text
        process.terminate()
        code, output = await ended(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert code == 0, output
    assert "Traceback" not in output


async def test_help_names_every_setting() -> None:
    code, output = await ended(await started("--help"))
    assert code == 0
    assert {"WEBHOOKS_PORT", "PUBLIC_STREAM_URL", "NATS_URL", *GOOD} <= set(output.split())
