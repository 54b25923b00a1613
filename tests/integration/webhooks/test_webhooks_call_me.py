"""The command that places a call and tells it until it is over, against a simulated Twilio."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from locked_nats import LockedNats
from office import PERSON, TIMEOUT, running

from protocol import events as e
from testbed.ports import free_port
from testbed.twilio import Callee, Timing

# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


@dataclass
class Command:
    """A running ``call_me`` and what it said so far."""

    process: asyncio.subprocess.Process
    lines: list[str] = field(default_factory=list)

    async def says(self, words: str) -> None:
        """Wait for a line with these words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
            while not any(words in line for line in self.lines):
                line = await self.process.stdout.readline()
                assert line, f"it ended without {words!r}: {self.lines}"
                self.lines.append(line.decode().rstrip("\n"))

    async def ends(self) -> int:
        """Wait for its end; the exit code."""
        async with asyncio.timeout(TIMEOUT):
            rest, _ = await self.process.communicate()
        self.lines += rest.decode().splitlines()
        assert not any("Traceback" in line for line in self.lines), self.lines
        assert self.process.returncode is not None
        return self.process.returncode

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)


@asynccontextmanager
async def call_me(
    nats_url: str, *arguments: str, module: str = "webhooks.call_me"
) -> AsyncIterator[Command]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", module, *arguments),
        env={"NATS_URL": nats_url, "PATH": os.environ["PATH"], "STARTUP_WAIT_S": "1"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Command(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def dialled(office: Any) -> Any:
    async with asyncio.timeout(TIMEOUT):
        while not office.dialled:
            await asyncio.sleep(0.02)
    return office.dialled[0]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Any]:
    async with running(tmp_path) as office:
        yield office


async def test_a_call_is_told_from_its_dialling_to_its_end(office: Any) -> None:
    async with call_me(office.server.url, PERSON) as command:
        call = await dialled(office)
        await office.talking(call)
        await command.says("It was answered.")
        await command.says("The line is open.")
        await command.says("by Twilio's ear: human.")
        await call.hang_up()
        assert await command.ends() == 0
    assert command.lines[0] == f"Calling {PERSON} ..."
    assert command.lines[1] == f"Twilio has taken it: {call.sid}"
    assert "Twilio dials." in command.lines
    assert "It rings." in command.lines
    assert command.lines[-1] == "The call is over: the person hung up."
    assert len(command.lines) == len(set(command.lines)), "nothing is said twice"


@pytest.mark.parametrize(
    ("outcome", "said"),
    [("no-answer", "nobody answered"), ("busy", "the line was busy")],
)
async def test_nobody_there_is_told_and_no_success(office: Any, outcome: Any, said: str) -> None:
    office.twilio.callee = Callee(outcome=outcome)
    async with call_me(office.server.url, PERSON) as command:
        assert await command.ends() == 1
    assert said in command.lines[-1]


async def test_ctrl_c_hangs_up_a_call_that_was_answered(office: Any) -> None:
    async with call_me(office.server.url, PERSON) as command:
        call = await dialled(office)
        await office.talking(call)
        await command.says("The line is open.")
        command.interrupt()
        assert await command.ends() == 0
    await call.ended(TIMEOUT)
    assert "Hanging up ..." in command.lines
    assert command.lines[-1] == "The call is over: our side hung up."
    (ended,) = await office.written(call.sid, e.CallEnded)
    assert ended.reason == "assistant_hung_up"


async def test_ctrl_c_calls_off_a_call_that_rings(tmp_path: Path) -> None:
    async with (
        running(tmp_path, timing=Timing(ring_ms=600_000)) as office,
        call_me(office.server.url, PERSON) as command,
    ):
        call = await dialled(office)
        await command.says("It rings.")
        command.interrupt()
        assert await command.ends() == 1
        await call.ended(TIMEOUT)
        assert command.lines[-1] == "The call is over: it was called off before anybody answered."


async def test_nats_that_comes_back_takes_nothing_from_the_story(office: Any) -> None:
    async with call_me(office.server.url, PERSON) as command:
        call = await dialled(office)
        await office.talking(call)
        await command.says("The line is open.")
        await office.server.kill()
        await office.server.restart()
        await call.hang_up()
        assert await command.ends() == 0
    assert command.lines[-1] == "The call is over: the person hung up."


@pytest.mark.parametrize(
    ("to", "environ", "said"),
    [
        ("+4930123456", {}, "not placed (not_allowed): Numbers with this prefix"),
        ("030123456", {}, "not placed (not_allowed): This is no international number"),
        (PERSON, {"OUTBOUND_PREFIXES": ""}, "not placed (not_allowed): Calling out is switched"),
        (PERSON, {"OUTBOUND_PER_MINUTE": "0"}, "not placed (too_many): At most 0 calls a minute"),
    ],
)
async def test_why_no_call_is_placed(
    tmp_path: Path, to: str, environ: dict[str, str], said: str
) -> None:
    async with (
        running(tmp_path, **environ) as office,
        call_me(office.server.url, to) as command,
    ):
        assert await command.ends() == 1
        assert said in command.lines[-1]
        assert office.dialled == []


async def test_twilio_that_refuses_is_a_sentence(office: Any) -> None:
    office.twilio.rest_faults.refuse_status = 429
    async with call_me(office.server.url, PERSON) as command:
        assert await command.ends() == 1
    assert "not placed (twilio): Twilio takes no more requests now" in command.lines[-1]


async def test_nothing_that_runs_is_a_sentence(nats_server: Any) -> None:
    async with call_me(nats_server.url, PERSON) as command:
        assert await command.ends() == 1
    assert "webhooks does not run on this NATS" in command.lines[-1]
    async with call_me(f"nats://127.0.0.1:{free_port()}", PERSON) as command:
        assert await command.ends() == 1
    assert "NATS_URL" in command.lines[-1]


@pytest.mark.parametrize("module", ["webhooks.call_me", "webhooks.place_call"])
async def test_the_commands_work_as_the_nats_user_of_webhooks(tmp_path: Path, module: str) -> None:
    """Beside webhooks in its container there is no other user; it may ask its own service."""
    server = LockedNats(tmp_path, tls=False)
    await server.process.start()
    try:
        await server.process.saw("Server is ready", TIMEOUT)
        client = await server.connect("webhooks")

        async def refuse(message: Any) -> None:
            await message.respond(b'{"type":"refused","reason":"not_allowed","message":"No."}')

        await client.subscribe("calls.place", cb=refuse)
        await client.flush()
        async with call_me(server.url("webhooks", "nats"), PERSON, module=module) as command:
            assert await command.ends() == 1
        assert command.lines[-1] == "not placed (not_allowed): No."
        await client.close()
    finally:
        await server.process.stop(5)
