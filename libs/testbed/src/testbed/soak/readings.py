"""What is counted while the system stands still, from /proc, /metrics and NATS. Changes nothing."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from testbed.layout import AGENT
from testbed.realtime.server import RealtimeServer
from testbed.soak.child import TIDY
from testbed.stack import Stack
from testbed.twilio import SimulatedTwilio

_GAUGE = re.compile(r"^(trunkline_\w+) ([0-9.e+]+)$", re.MULTILINE)
_KIB = re.compile(r"^VmRSS:\s+(\d+) kB$", re.MULTILINE)
_THREADS = re.compile(r"^Threads:\s+(\d+)$", re.MULTILINE)
HELD = {"trunkline_agent_calls": "calls held", "trunkline_ingress_legs": "legs"}
KINDS = ("files", "threads", "tasks", "subscriptions", "connections")


@dataclass(frozen=True, slots=True)
class Reading:
    """The system after `calls` calls, with none under way. Memory in KiB."""

    calls: int
    memory: dict[str, int]
    """Resident KiB by process, once it was told to give back what it does not use."""
    counts: dict[tuple[str, str], int]
    """By (process or "system", what): open files, threads, tasks, subscriptions, ..."""


class Gone(Exception):
    """A process of the system cannot be read any more."""


class Probe:
    """Takes readings of a running system."""

    def __init__(self, stack: Stack, model: RealtimeServer, twilio: SimulatedTwilio) -> None:
        self._stack = stack
        self._model = model
        self._twilio = twilio
        # A connection a question: one kept open would be counted at the service's end.
        self._limits = httpx.Limits(max_keepalive_connections=0)

    async def read(self, calls: int) -> Reading:
        """Count everything now. Raises Gone."""
        try:
            return await self._read(calls)
        except (httpx.HTTPError, OSError) as error:
            dead = [name for name, process in self._stack.processes.items() if not process.running]
            who = f"ended: {', '.join(dead)}" if dead else "a service does not answer"
            raise Gone(f"after {calls} calls {who} ({error})") from error

    async def _read(self, calls: int) -> Reading:
        memory: dict[str, int] = {}
        counts: dict[tuple[str, str], int] = {}
        held = dict.fromkeys(HELD.values(), 0)
        async with httpx.AsyncClient(trust_env=False, limits=self._limits) as http:
            for name, process in self._stack.processes.items():
                folder = Path(f"/proc/{process.pid}")
                os.kill(process.pid, TIDY)
                # Answered behind the signal's handler: both are the main thread's.
                page = (await http.get(f"{self._stack.admin_url(name)}/metrics/")).text
                gauges = {key: float(value) for key, value in _GAUGE.findall(page)}
                status = (folder / "status").read_text()
                memory[name] = _number(_KIB, status)
                counts[name, "threads"] = _number(_THREADS, status)
                counts[name, "files"] = len(os.listdir(folder / "fd"))
                counts[name, "tasks"] = int(gauges["trunkline_asyncio_tasks"])
                for gauge, what in HELD.items():
                    held[what] += int(gauges.get(gauge, 0))
            counts |= await self._nats(http)
        counts |= {("system", what): number for what, number in held.items()}
        counts["system", "model's sockets"] = self._model.open_sockets
        streams = [stream for call in self._twilio.calls.values() for stream in call.streams]
        counts["system", "Twilio's sockets"] = sum(stream.connected for stream in streams)
        return Reading(calls, memory, counts)

    async def _nats(self, http: httpx.AsyncClient) -> dict[tuple[str, str], int]:
        """Subscriptions and connections by process (its client's name), consumers of streams."""
        monitor = getattr(self._stack.nats, "monitor_url", "")
        assert monitor, "the soak runs its own NATS"
        connz: Any = (await http.get(f"{monitor}/connz?subs=1&limit=1024")).json()
        found: dict[tuple[str, str], int] = {}
        for connection in connz["connections"]:
            client = str(connection.get("name", "")).partition("/")[0]
            name = f"{AGENT}-1" if client == AGENT else client
            subscriptions = len(connection.get("subscriptions_list") or ())
            for what, number in (("subscriptions", subscriptions), ("connections", 1)):
                found[name, what] = found.get((name, what), 0) + number
        jsz: Any = (await http.get(f"{monitor}/jsz")).json()
        found["system", "consumers"] = int(jsz["consumers"])
        return found


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    assert found is not None, f"{pattern.pattern} is not in {text!r}"
    return int(found[1])
