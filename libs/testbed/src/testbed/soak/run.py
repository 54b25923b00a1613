"""One soak: a system of real processes, calls in batches, a reading after each batch."""

import asyncio
import contextlib
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from testbed.chaos.world import REPOSITORY
from testbed.follower import Follower
from testbed.layout import SERVICES, Ports, StackConfig, migration_folders
from testbed.ports import LOOPBACK
from testbed.process import StartError
from testbed.realtime.host import Habits
from testbed.realtime.server import RealtimeServer
from testbed.soak.endings import PIN_CALLER, TALK, Ending, Talk, drawn
from testbed.soak.mind import Minds
from testbed.soak.readings import Probe, Reading
from testbed.stack import Stack
from testbed.twilio import SimulatedTwilio, TwilioAccount, serve_rest

ENDED_WITHIN_S = 5.0
"""After the line went down the log must have its `call_ended`."""
WHOLE_CALL_S = 90.0
REST_S = 7.0
"""Longer than an idle HTTP connection is kept (5 s)."""
SETTLE_S = 25.0
"""How long counts may take to come back before they are judged as they are."""
STILL_READINGS = 6
"""A second apart: longer than anything periodic takes."""
BREATH_S = 2.0
"""Before a reading on the way, which is for the memory."""
_PROFILES = Path(__file__).with_name("assistants")
_KEY = "a-key-of-the-model"


@dataclass(slots=True)
class Soaked:
    """What came of a soak."""

    readings: list[Reading] = field(default_factory=list[Reading])
    """The first one after the warm-up, the last one after the last call."""
    delays_s: list[float] = field(default_factory=list[float])
    """From the end of each line to its call's `call_ended`; 0 where that came first."""
    endings: Counter[str] = field(default_factory=Counter[str])
    reasons: Counter[str] = field(default_factory=Counter[str])
    """Of `call_ended`."""
    problems: list[str] = field(default_factory=list[str])
    """Calls that did not go or end as they must."""
    seconds: float = 0.0


class Soak:
    """The calls of one soak."""

    def __init__(self, seed: int) -> None:
        self.came = Soaked()
        self._seed = seed
        self._ended: dict[str, list[tuple[float, str]]] = {}
        """Every `call_ended` by call: when it was seen (monotonic s), its reason."""

    def on_event(self, event: dict[str, Any]) -> None:
        """An event reached the follower."""
        if event["event"] == "call_ended":
            seen = (time.monotonic(), str(event["reason"]))
            self._ended.setdefault(event["call_id"], []).append(seen)

    async def batch(
        self,
        numbered: list[tuple[int, Ending]],
        twilio: SimulatedTwilio,
        follower: Follower,
        at_once: int,
    ) -> None:
        """These calls, `at_once` at a time; each with the next as soon as one is over."""
        waiting = iter(numbered)

        async def line() -> None:
            for number, ending in waiting:
                await self._call(number, ending, twilio, follower)

        async with asyncio.TaskGroup() as lines:
            for _ in range(at_once):
                lines.create_task(line())

    def ends(self) -> None:
        """Exactly one end a call, judged once all is over."""
        for call_id, seen in self._ended.items():
            if len(seen) > 1:
                self.came.problems.append(f"{call_id} ended {len(seen)} times: {seen}")
            self.came.reasons[seen[0][1]] += 1

    async def _call(
        self, number: int, ending: Ending, twilio: SimulatedTwilio, follower: Follower
    ) -> None:
        came, name = self.came, f"call {number} ({ending.name})"
        chance = random.Random(f"soak:{self._seed}:{number}")
        call = await twilio.dial(ending.caller or f"+1555013{number:05}", ending.called)
        try:
            async with asyncio.timeout(WHOLE_CALL_S):
                await ending.act(Talk(number, call, follower, chance))
        except TimeoutError as error:
            came.problems.append(f"{name} did not go as it should: {error}"[:1_500])
        await call.hang_up()
        down = time.monotonic()
        await call.ended(WHOLE_CALL_S)
        await follower.wait(
            call.sid, lambda events: any(e["event"] == "call_ended" for e in events), WHOLE_CALL_S
        )
        seen = self._ended.get(call.sid)
        came.endings[ending.name] += 1
        if not seen:
            came.problems.append(f"{name} {call.sid}: no call_ended in {WHOLE_CALL_S:g} s")
        else:
            came.delays_s.append(max(0.0, seen[0][0] - down))
            if came.delays_s[-1] > ENDED_WITHIN_S:
                came.problems.append(
                    f"{name} {call.sid}: call_ended after {came.delays_s[-1]:.1f} s"
                )
        # This process must not grow with them.
        del twilio.calls[call.sid]
        follower.events.pop(call.sid, None)


async def soak(
    count: int,
    *,
    seed: int,
    warm_up: int,
    at_once: int,
    every: int,
    log: Path,
    tell: Callable[[str], None],
) -> Soaked:
    """`warm_up` calls, a reading, then `count` calls with a reading after `every` of them.

    The processes' output goes to `log`. Raises StartError and Gone, inside of groups.
    """
    began = time.monotonic()
    current = Soak(seed)
    came = current.came
    numbered = enumerate(drawn(seed, warm_up + count))
    async with _running(log, current.on_event) as (stack, twilio, model, follower):
        probe = Probe(stack, model, twilio)
        done, first = 0, None
        for size in (warm_up, *_batches(count, every)):
            batch = list(itertools.islice(numbered, size))
            await current.batch(batch, twilio, follower, at_once)
            done += size
            if first is None or done == warm_up + count:
                reading = await _settled(probe, done, first)
            else:
                await asyncio.sleep(BREATH_S)
                reading = await probe.read(done)
            first = first or reading
            came.readings.append(reading)
            total, spent = sum(reading.memory.values()) / 1024, time.monotonic() - began
            tell(f"{done} calls, {total:.1f} MiB, {spent:.0f} s, {len(came.problems)} problems")
        current.ends()
    came.seconds = time.monotonic() - began
    return came


async def _settled(probe: Probe, calls: int, first: Reading | None) -> Reading:
    """A reading of counts that must tell, once idle connections are closed. Without ``first``: the
    most that a system standing still has within some seconds, for it still beats, fetches and
    retries. With it: as soon as nothing is above that, or as it is after SETTLE_S.
    """
    await asyncio.sleep(REST_S)
    deadline = time.monotonic() + SETTLE_S
    reading = await probe.read(calls)
    if first is None:
        return await _still(probe, reading)
    while time.monotonic() < deadline:
        if all(number <= first.counts.get(key, 0) for key, number in reading.counts.items()):
            break
        await asyncio.sleep(1.0)
        reading = await probe.read(calls)
    return reading


async def _still(probe: Probe, reading: Reading) -> Reading:
    """The most of what processes have; of the system (calls held, sockets) what it has at last."""
    counts = dict(reading.counts)
    for _ in range(STILL_READINGS):
        await asyncio.sleep(1.0)
        reading = await probe.read(reading.calls)
        for key, number in reading.counts.items():
            most = number if key[0] == "system" else max(number, counts.get(key, 0))
            counts[key] = most
    return replace(reading, counts=counts)


def _batches(count: int, every: int) -> list[int]:
    return [min(every, count - done) for done in range(0, count, every)]


@contextlib.asynccontextmanager
async def _running(
    log: Path, on_event: Callable[[dict[str, Any]], None]
) -> AsyncGenerator[tuple[Stack, SimulatedTwilio, RealtimeServer, Follower]]:
    ports = Ports.free()
    webhooks = f"http://{LOOPBACK}:{ports.webhooks}/twilio"
    account = TwilioAccount(
        "AC" + "7" * 32,
        "0123456789abcdef0123456789abcdef",
        TALK,
        f"{webhooks}/voice",
        status_callback=f"{webhooks}/status",
    )
    async with contextlib.AsyncExitStack() as opened:
        folder = Path(tempfile.mkdtemp(prefix="trunkline-soak-"))
        opened.callback(shutil.rmtree, folder, ignore_errors=True)
        shutil.copytree(_PROFILES, folder / "assistants")
        lines = opened.enter_context(log.open("w"))
        model = await opened.enter_async_context(
            RealtimeServer(Minds(), api_key=_KEY, habits=Habits(), record=False)
        )
        twilio = await opened.enter_async_context(SimulatedTwilio(account))
        rest = await opened.enter_async_context(serve_rest(twilio))
        config = StackConfig(
            twilio_account_sid=account.sid,
            twilio_auth_token=account.auth_token,
            twilio_phone_number=TALK,
            openai_api_key=_KEY,
            stream_token_secret="a-secret-of-stream-tokens",
            assistants_dir=folder / "assistants",
            migrations=migration_folders(REPOSITORY),
            openai_base_url=model.base_url,
            twilio_api_url=rest,
            ports=ports,
            commands={
                service.name: [sys.executable, "-m", "testbed.soak.child", service.module]
                for service in SERVICES
            },
            environment={
                "OUTBOUND_PREFIXES": "+1555",
                "OUTBOUND_PER_MINUTE": "1000",
                "SPEAKER_PROVIDERS": "espeak",
            },
            on_line=lambda name, line: print(f"{name}: {line}", file=lines, flush=True),
        )
        stack = await opened.enter_async_context(Stack(config))
        await _give_pin(stack.database_url)
        follower = await opened.enter_async_context(Follower(stack.nats_url, on_event=on_event))
        yield stack, twilio, model, follower


async def _give_pin(database_url: str) -> None:
    """The operator's command, its PIN on standard input."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tool_runner.set_pin", "--number", PIN_CALLER),
        env={"DATABASE_URL": database_url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await command.communicate(b"48151623\n")
    if command.returncode != 0:
        raise StartError(f"no PIN could be set: {told.decode().strip()}")
