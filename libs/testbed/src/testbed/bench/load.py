"""One load: a carrier (a relay or our services) between callers and model, and what it cost."""

import asyncio
import contextlib
import json
import os
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.bench import system
from testbed.bench.caller import Spec
from testbed.bench.child import Child, ChildFailed, child
from testbed.bench.counts import Messages, messages
from testbed.bench.machine import elsewhere, spent
from testbed.bench.session import SPEECH, TURN_S
from testbed.bench.usage import Usage, usage
from testbed.nats_server import NatsServer
from testbed.ports import LOOPBACK, free_port

LAG_MS = 3.0
"""p99 of the load generator's own lateness above which a row says nothing."""
ELSEWHERE = 0.15
"""Of the machine: when something else has more meanwhile, a row says nothing."""
HEARD = 0.7
"""Of what either side said, below which a row is of a carrier that has broken down."""
READY_WITHIN_S = 60.0
"""A peer imports for long."""
TALKING_WITHIN_S = 90.0
WARM_S = 6.0
"""The greeting, and a turn of every caller."""


class Unanswered(ChildFailed):
    """Some of the callers never heard anything: more calls than were carried."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What carries the calls. `pids` are the processes that it consists of, by name."""

    pids: dict[str, int]
    spec: Callable[[int], Spec]
    """The callers of a load of so many calls."""
    monitor_url: str = ""
    """Of its nats-server, if it has one."""


@dataclass
class Measured:
    """One row. CPU in ms a call and second, memory in KiB a call above the idle process."""

    name: str
    calls: int
    cpu: dict[str, float] = field(default_factory=dict[str, float])
    memory: dict[str, float] = field(default_factory=dict[str, float])
    nats: dict[str, float] = field(default_factory=dict[str, float])
    """Messages a call and second, `published` and `delivered`; empty without a broker."""
    phones: dict[str, Any] = field(default_factory=dict[str, Any])
    model: dict[str, Any] = field(default_factory=dict[str, Any])
    elsewhere: float = 0.0
    """The part of the machine that was busy with something else than the bench."""
    broke: str = ""
    """Why there is nothing of all this."""

    @property
    def path_cpu(self) -> float:
        """Of what carries the audio: ingress and agent together, or the relay."""
        return sum(ms for name, ms in self.cpu.items() if name in PATH)

    @property
    def lag_ms(self) -> float:
        """p99, the worse of both generators."""
        return max(self.phones["lag_p99_ms"], self.model["lag_p99_ms"])

    @property
    def disturbed(self) -> bool:
        """Whether something else had too much of the machine."""
        return self.elsewhere > ELSEWHERE

    @property
    def stamped(self) -> bool:
        """Whether the stamps in the audio arrived; a carrier that transcodes destroys them."""
        return bool(self.model.get("frames"))

    @property
    def invalid(self) -> str:
        """Why the row says nothing; empty when it stands."""
        if self.broke:
            return self.broke
        if self.lag_ms > LAG_MS:
            return f"generator late {self.lag_ms:.1f} ms"
        if self.disturbed:
            return f"machine {self.elsewhere:.0%} busy elsewhere"
        if self.phones["lost_calls"]:
            return f"{self.phones['lost_calls']} calls lost"
        if self.phones["seconds"] < TURN_S:  # how much was spoken in it is chance
            return ""
        spoken = self.calls * self.phones["seconds"]
        callers, model = self.phones["heard_s"] / spoken / SPEECH, self.model["audio_s"] / spoken
        if callers < HEARD:
            return f"callers heard {callers:.0%}"
        return f"model heard {model:.0%}" if model < HEARD else ""


PATH = ("relay", "stream-ingress", "ai-agent")


@contextlib.asynccontextmanager
async def model_running(
    kind: str = "talk", certificate: tuple[str, str] | None = None
) -> AsyncGenerator[tuple[Child, str]]:
    """The model and its base url. `acts`: calls tools and is spoken over, too."""
    port = free_port()
    async with child("model", str(port), kind, *(certificate or ())) as model:
        await model.expect("ready", 15)
        scheme, host = ("https", "localhost") if certificate else ("http", LOOPBACK)
        yield model, f"{scheme}://{host}:{port}/v1"


@contextlib.asynccontextmanager
async def relay_running(kind: str, model_url: str, python: str = "") -> AsyncGenerator[Carrier]:
    """A yardstick: `relay`, `lean_relay`, or `pipecat_relay` in another Python."""
    port = free_port()
    url = model_url.replace("http", "ws", 1) + "/realtime?model=bench"
    async with child(kind, str(port), url, python=python) as relay:
        await relay.expect("ready", READY_WITHIN_S)

        def spec(calls: int) -> Spec:
            media = f"ws://{LOOPBACK}:{port}/twilio/media"
            return Spec(
                calls, system.ACCOUNT_SID, system.AUTH_TOKEN, system.NUMBER, media_url=media
            )

        yield Carrier({"relay": relay.pid}, spec)


@contextlib.asynccontextmanager
async def ours_running(model_url: str, environment: dict[str, str]) -> AsyncGenerator[Carrier]:
    """Our services."""
    async with system.running(model_url, environment) as stack:
        voice = f"{stack.public_url}/twilio/voice"

        def spec(calls: int) -> Spec:
            return Spec(
                calls, system.ACCOUNT_SID, system.AUTH_TOKEN, system.NUMBER, voice_url=voice
            )

        assert isinstance(stack.nats, NatsServer), "the bench runs its own NATS"
        yield Carrier(system.pids(stack), spec, stack.nats.monitor_url)


async def measure(
    name: str, carrier: Carrier, model: Child, calls: int, seconds: float
) -> Measured:
    """Let so many callers talk for so long. Raises ChildFailed; Unanswered when not all of them
    were carried.
    """
    row = Measured(name, calls)
    idle = _read(carrier)
    async with child("phones", json.dumps(asdict(carrier.spec(calls)))) as phones:
        try:
            await phones.expect("talking", TALKING_WITHIN_S)
        except ChildFailed:
            raise Unanswered("calls not answered") from None
        await asyncio.sleep(WARM_S)
        for generator in (phones, model):
            await generator.tell("measure")
        said, machine = await _messages(carrier), spent(os.getpid())
        began, before = time.monotonic(), _read(carrier)
        await asyncio.sleep(seconds)
        took, after = time.monotonic() - began, _read(carrier)
        told, row.elsewhere = await _messages(carrier), elsewhere(machine, spent(os.getpid()))
        for generator in (phones, model):
            await generator.tell("stop")
        row.phones, row.model = await phones.result(), await model.result()
    for process in carrier.pids:
        row.cpu[process] = (after[process].cpu_s - before[process].cpu_s) / took / calls * 1e3
        row.memory[process] = (after[process].memory_kib - idle[process].memory_kib) / calls
    if carrier.monitor_url:
        row.nats = {
            "published": (told.published - said.published) / took / calls,
            "delivered": (told.delivered - said.delivered) / took / calls,
        }
    return row


async def _messages(carrier: Carrier) -> Messages:
    return await messages(carrier.monitor_url) if carrier.monitor_url else Messages()


def _read(carrier: Carrier) -> dict[str, Usage]:
    return {name: usage(pid) for name, pid in carrier.pids.items()}


def cpu_name() -> str:
    """The machine's processor, as it calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
