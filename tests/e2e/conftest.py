"""The whole system for the end-to-end tests: five real processes on a real NATS and PostgreSQL.

Simulated are only the phone (testbed.twilio) and the model (testbed.realtime, scripted), at the
edges that are not ours. One system serves the session; a test that needs it otherwise starts its
own with `new_system`. Tests ask the caller's ear, the log and the database.
"""

import asyncio
import contextlib
import itertools
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import nats
import pytest
from nats.aio.client import Client

from testbed.follower import Follower
from testbed.layout import Ports, StackConfig, example_tools, migration_folders
from testbed.realtime import Connection, RealtimeServer, Script
from testbed.realtime.steps import Step
from testbed.stack import Stack
from testbed.twilio import Call, SimulatedTwilio, TwilioAccount

REPOSITORY = Path(__file__).parents[2]
NUMBER = "+15550100002"
SECRET = "a-secret-of-stream-tokens"
DESK_TOKEN = "a-token-of-machines-at-the-desk"
PATIENCE_S = 30.0
"""The bound of every wait: for a hung test only, never a measure of speed."""
CLOCKS_MS = 250
"""How far apart two processes may put one moment: each may be woken late. What is wrong is wrong by
more; how exact a figure is, unit tests hold to the millisecond."""
_numbers = itertools.count(15_550_120_000)


class Minds:
    """Makes each session of the model follow the next script in line."""

    def __init__(self) -> None:
        self.waiting: deque[Script] = deque()
        self.used: list[Script] = []
        """The n-th is the one of the server's n-th connection."""

    def __call__(self) -> Script:
        if self.waiting:
            script = self.waiting.popleft()
        else:
            script = Script()
            script.failure = "unexpected session: no script is left"
        self.used.append(script)
        return script


class World:
    """A running system and everything outside of it."""

    number = NUMBER
    secret = SECRET
    desk_token = DESK_TOKEN
    patience_s = PATIENCE_S
    clocks_ms = CLOCKS_MS
    repository = REPOSITORY

    def __init__(
        self,
        stack: Stack,
        model: RealtimeServer,
        minds: Minds,
        twilio: SimulatedTwilio,
        follower: Follower,
        client: Client,
    ) -> None:
        self.stack = stack
        self.model = model
        self.minds = minds
        self.twilio = twilio
        self.follower = follower
        self.client = client
        self._accepted: set[str] = set()
        self._lines_before: set[tuple[str, str]] = set()

    # -- doing

    def script(self, *steps: Step) -> Script:
        """What the model of the next call hears and says."""
        return self.follows(Script(*steps))

    def follows(self, script: Script) -> Script:
        self.minds.waiting.append(script)
        return script

    async def dial(self, number: str | None = None) -> Call:
        """A call of somebody nobody knows, unless `number` says who; ringing."""
        return await self.twilio.dial(number or f"+{next(_numbers)}")

    async def hung_up(self, call: Call) -> list[dict[str, Any]]:
        """The caller hangs up; the call's events once its log is complete."""
        await call.hang_up()
        return await self.ended(call)

    async def ended(self, call: Call) -> list[dict[str, Any]]:
        """Wait for the end of a call; its events once its log is complete."""
        await call.ended(PATIENCE_S)
        await self.logged(call, "call_ended", "status_changed", "stream_stopped")
        return self.events(call)

    # -- asking

    def events(self, call: Call, name: str | None = None) -> list[dict[str, Any]]:
        """The live events of a call so far, all or of one name."""
        found = self.follower.events[call.sid]
        return [event for event in found if name in (None, event["event"])]

    async def logged(self, call: Call, *names: str) -> None:
        """Wait until the log of a call holds events of all these names."""

        def all_there(events: list[dict[str, Any]]) -> bool:
            return set(names) <= {event["event"] for event in events}

        if not await self.follower.wait(call.sid, all_there, PATIENCE_S):
            found = [event["event"] for event in self.events(call)]
            pytest.fail(f"the log lacks one of {names}: {found}")

    async def heard(self, call: Call, *audio: bytes) -> None:
        """Wait until the caller's ear has got as much as `audio`, and assert that it is just it."""
        expected = b"".join(audio)
        await call.wait_until(lambda c: len(c.ear.audio()) >= len(expected), PATIENCE_S)
        heard = call.ear.audio()
        if heard != expected:  # no comparison by pytest: it would print thousands of bytes
            at = next(
                (
                    i
                    for i, pair in enumerate(zip(heard, expected, strict=False))
                    if len({*pair}) > 1
                ),
                min(len(heard), len(expected)),
            )
            pytest.fail(f"heard {len(heard)} bytes for {len(expected)}, different at {at}")

    async def replay(self, subject: str, at_least: int = 1) -> list[tuple[int, dict[str, Any]]]:
        """What the stream holds of a subject: (sequence, event), read by a JetStream consumer."""
        subscription = await self.client.jetstream().subscribe(
            subject, stream="CALLS", ordered_consumer=True
        )
        found: list[tuple[int, dict[str, Any]]] = []
        try:
            while True:
                message = await subscription.next_msg(timeout=PATIENCE_S)
                found.append((message.metadata.sequence.stream, json.loads(message.data)))
                if message.metadata.num_pending == 0 and len(found) >= at_least:
                    return found
        finally:
            await subscription.unsubscribe()

    def connection(self, call: Call) -> Connection:
        """The model's socket of a call."""
        session_id = self.events(call, "session_opened")[-1]["session_id"]
        for connection in self.model.connections:
            if connection.session is not None and connection.session.id == session_id:
                return connection
        raise AssertionError(f"the model has no session {session_id}")

    def script_of(self, call: Call) -> Script:
        """The script that the call's session followed."""
        return self.minds.used[self.model.connections.index(self.connection(call))]

    async def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the database."""
        database = await asyncpg.connect(self.stack.database_url)
        try:
            return [dict(row) for row in await database.fetch(query, *values)]
        finally:
            await database.close()

    async def until(self, holds: Callable[[], object], what: str) -> None:
        """Wait for a condition."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"never happened: {what}")

    def accept(self, phrase: str) -> None:
        """Log lines of level error with this phrase belong to the test."""
        self._accepted.add(phrase)

    # -- around a test

    def begin(self) -> None:
        self._accepted.clear()
        self._lines_before = set(self.stack.lines)

    async def settle(self) -> None:
        """End what a test left, and look at what nobody should ever see."""
        for call in self.twilio.calls.values():
            if not call.over:
                await call.hang_up()
            await call.ended(PATIENCE_S)
        refused = [s.playout.refusals for c in self.twilio.calls.values() for s in c.streams]
        self.twilio.calls.clear()
        left, used = list(self.minds.waiting), list(self.minds.used)
        self.minds.waiting.clear()
        await self.until(lambda: self.model.open_sockets == 0, "every socket at the model closes")
        self.minds.used.clear()
        self.model.connections.clear()
        assert not any(refused), f"Twilio refused what ingress sent: {refused}"
        assert not left, "a script was never used"
        assert [script.failure for script in used if script.failure] == []
        assert [n for n, process in self.stack.processes.items() if not process.running] == []
        assert self._errors() == []

    def _errors(self) -> list[str]:
        """What services logged as an error, or on their way out of the logs, during the test."""
        new = [line for line in self.stack.lines if line not in self._lines_before]
        return [
            f"{name}: {line}"
            for name, line in new
            if ('"level": "error"' in line or "Traceback" in line or "never retrieved" in line)
            and not any(phrase in line for phrase in self._accepted)
        ]


@contextlib.asynccontextmanager
async def running(
    *, nats_url: str | None = None, **overrides: Mapping[str, str]
) -> AsyncIterator[World]:
    """A system with these variables by service, and a phone and a model around it; on the NATS
    server at `nats_url`, else on its own.
    """
    minds = Minds()
    async with RealtimeServer(minds, api_key="a-key-of-the-model") as model:
        config = StackConfig(
            twilio_account_sid="AC" + "7" * 32,
            twilio_auth_token="0123456789abcdef0123456789abcdef",
            twilio_phone_number=NUMBER,
            openai_api_key="a-key-of-the-model",
            stream_token_secret=SECRET,
            assistants_dir=REPOSITORY / "assistants",
            migrations=migration_folders(REPOSITORY),
            openai_base_url=model.base_url,
            nats_url=nats_url,
            ports=Ports.free(),
            tools=example_tools(REPOSITORY),
            environment={"DASHBOARD_TOKEN": DESK_TOKEN},
            overrides={name.replace("_", "-"): env for name, env in overrides.items()},
        )
        async with Stack(config) as stack:
            account = TwilioAccount(
                config.twilio_account_sid,
                config.twilio_auth_token,
                NUMBER,
                f"{stack.public_url}/twilio/voice",
                status_callback=f"{stack.public_url}/twilio/status",
            )
            client = await nats.connect(stack.nats_url)
            # nats-py makes its one subscription for replies, a task, with the first request.
            await client.jetstream().account_info()
            try:
                async with SimulatedTwilio(account) as twilio, Follower(stack.nats_url) as follower:
                    yield World(stack, model, minds, twilio, follower, client)
            finally:
                await client.close()


@pytest.fixture(scope="session")
async def shared_system() -> AsyncIterator[World]:
    async with running() as system:
        yield system


@pytest.fixture
async def world(shared_system: World) -> AsyncIterator[World]:
    """The shared system; after the test every call is over and nothing of it is left."""
    shared_system.begin()
    yield shared_system
    await shared_system.settle()


@pytest.fixture(scope="session")
def new_system() -> Callable[..., contextlib.AbstractAsyncContextManager[World]]:
    """Starts a system of the test's own: `async with new_system(ai_agent={...}) as world`."""
    return running
