"""One load: a carrier (a relay or our services) between callers and model, and what it cost."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.bench import system
from testbed.bench.caller import Spec
from testbed.bench.child import Child, child
from testbed.bench.usage import Usage, usage
from testbed.ports import LOOPBACK, free_port

LAG_MS = 3.0
"""p99 of the load generator's own lateness above which a row says nothing."""
TALKING_WITHIN_S = 90.0
WARM_S = 9.0
"""The greeting, and a turn of every caller."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What carries the calls. `pids` are the processes that it consists of, by name."""

    pids: dict[str, int]
    spec: Callable[[int], Spec]
    """The callers of a load of so many calls."""


@dataclass
class Measured:
    """One row. CPU in ms a call and second, memory in KiB a call above the idle process."""

    name: str
    calls: int
    cpu: dict[str, float] = field(default_factory=dict[str, float])
    memory: dict[str, float] = field(default_factory=dict[str, float])
    phones: dict[str, Any] = field(default_factory=dict[str, Any])
    model: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def path_cpu(self) -> float:
        """Of what carries the audio: ingress and agent together, or the relay."""
        return sum(ms for name, ms in self.cpu.items() if name in PATH)

    @property
    def lag_ms(self) -> float:
        """p99, the worse of both generators."""
        return max(self.phones["lag_p99_ms"], self.model["lag_p99_ms"])

    @property
    def invalid(self) -> str:
        """Why the row says nothing; empty when it stands."""
        if self.lag_ms > LAG_MS:
            return f"the load generator lagged {self.lag_ms:.1f} ms"
        if self.phones["lost_calls"]:
            return f"{self.phones['lost_calls']} calls were lost"
        return ""


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
async def relay_running(kind: str, model_url: str) -> AsyncGenerator[Carrier]:
    """A yardstick: `relay` or `lean_relay`."""
    port = free_port()
    url = model_url.replace("http", "ws", 1) + "/realtime?model=bench"
    async with child(kind, str(port), url) as relay:
        await relay.expect("ready", 15)

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

        yield Carrier(system.pids(stack), spec)


async def measure(
    name: str, carrier: Carrier, model: Child, calls: int, seconds: float
) -> Measured:
    """Let so many callers talk for so long. Raises ChildFailed."""
    row = Measured(name, calls)
    idle = _read(carrier)
    async with child("phones", json.dumps(asdict(carrier.spec(calls)))) as phones:
        await phones.expect("talking", TALKING_WITHIN_S)
        await asyncio.sleep(WARM_S)
        before = _read(carrier)
        for generator in (phones, model):
            await generator.tell("measure")
        await asyncio.sleep(seconds)
        after = _read(carrier)
        for generator in (phones, model):
            await generator.tell("stop")
        row.phones, row.model = await phones.result(), await model.result()
    for process in carrier.pids:
        used = after[process].cpu_s - before[process].cpu_s
        row.cpu[process] = used / seconds / calls * 1e3
        row.memory[process] = (after[process].memory_kib - idle[process].memory_kib) / calls
    return row


def _read(carrier: Carrier) -> dict[str, Usage]:
    return {name: usage(pid) for name, pid in carrier.pids.items()}


def cpu_name() -> str:
    """The machine's processor, as it calls itself."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown"
