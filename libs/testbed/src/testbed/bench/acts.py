"""How quickly things happen in calls: keys, barge-ins, tools; events through the log and the board;
the start of each service.
"""

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

import httpx
import nats

from testbed.bench import system
from testbed.bench.caller import Spec
from testbed.bench.child import Child, child
from testbed.bench.load import TALKING_WITHIN_S, WARM_S
from testbed.bench.quantiles import Quantiles, quantiles
from testbed.follower import Follower
from testbed.layout import AGENT
from testbed.stack import Stack

PAIRED_WITHIN_S = 1.0
EVENTS = 2_000
CALLS = 50
IN_FLIGHT = 100
BOARD_WITHIN_S = 30.0
_SERVICES = ("webhooks", "stream-ingress", f"{AGENT}-1", "tool-runner", "dashboard")
Moments = list[tuple[int, float]]


async def act_times(stack: Stack, model: Child, calls: int, seconds: float) -> dict[str, Quantiles]:
    """What callers do, and how much later it has its effect (ms). Raises ChildFailed."""
    numbers: dict[str, int] = {}
    keyed: Moments = []

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "ringing":
            numbers[event["call_id"]] = int(event["caller"][-7:])
        elif event["event"] == "key_pressed":
            keyed.append((numbers[event["call_id"]], time.monotonic()))

    voice = f"{stack.public_url}/twilio/voice"
    spec = Spec(calls, system.ACCOUNT_SID, system.AUTH_TOKEN, system.NUMBER, voice_url=voice)
    async with (
        Follower(stack.nats_url, on_event=on_event),
        child("phones", json.dumps(asdict(replace(spec, keys=True, dials_at_once=1)))) as phones,
    ):
        await phones.expect("talking", TALKING_WITHIN_S)
        await asyncio.sleep(WARM_S)
        for generator in (phones, model):
            await generator.tell("measure")
        await asyncio.sleep(seconds)
        for generator in (phones, model):
            await generator.tell("stop")
        came, heard = await phones.result(), await model.result()
    # One call after the other was dialled: each asked for its session before the next began.
    asked_ms = [
        (asked - started) * 1e3
        for started, asked in zip(sorted(came["started"]), sorted(heard["asked"]), strict=False)
    ]
    return {
        "a call's stream starts -> the model is asked for its session": quantiles(asked_ms),
        "the caller speaks over the assistant -> the line is cleared": quantiles(
            paired_ms(heard["barged"], came["cleared"])
        ),
        "a key is pressed -> its event": quantiles(paired_ms(came["pressed"], keyed)),
        "a tool is called -> its output is with the model": quantiles(heard["tool_ms"]),
    }


def paired_ms(causes: Moments, effects: Moments) -> list[float]:
    """ms from each cause to the same caller's first effect after it; causes without one within a
    second are left out.
    """
    of: dict[int, list[float]] = defaultdict(list)
    for who, at in effects:
        of[who].append(at)
    found: list[float] = []
    for who, at in causes:
        later = [effect - at for effect in of[who] if 0 <= effect - at < PAIRED_WITHIN_S]
        if later:
            found.append(min(later) * 1e3)
    return found


async def event_rates(stack: Stack) -> dict[str, float]:
    """Events a second: acknowledged by the log, and shown by the board."""
    client = await nats.connect(stack.nats_url)
    try:
        stream = client.jetstream()
        room = asyncio.Semaphore(IN_FLIGHT)
        ids = [f"CA{number:032x}" for number in range(1 << 64, (1 << 64) + CALLS)]

        newest = 0

        async def publish(number: int) -> None:
            nonlocal newest
            call_id = ids[number % CALLS]
            name = "ringing" if number < CALLS else "status_changed"
            event = {
                "event": name,
                "id": f"{number:032x}",
                "call_id": call_id,
                "at": "2026-01-01T00:00:00Z",
                "service": "webhooks",
                "worker": "bench",
            }
            event |= {"caller": "+15550100003", "called": system.NUMBER, "status": "ringing"}
            async with room:
                subject = f"call.{call_id}.log.{name}"
                ack = await stream.publish(subject, json.dumps(event).encode())
            newest = max(newest, ack.seq)

        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(EVENTS):
                group.create_task(publish(number))
        logged = time.monotonic() - started
        await _shown(stack, newest)
        return {
            "events a second into the log": EVENTS / logged,
            "events a second onto the board": EVENTS / (time.monotonic() - started),
        }
    finally:
        await client.close()


async def _shown(stack: Stack, sequence: int) -> None:
    """Wait until the board has come so far."""
    headers = {"Authorization": f"Bearer {system.DESK_TOKEN}"}
    async with asyncio.timeout(BOARD_WITHIN_S), httpx.AsyncClient(trust_env=False) as http:
        while True:
            answer = await http.get(f"{stack.dashboard_url}/board.json", headers=headers)
            if answer.json()["last_sequence"] >= sequence:
                return
            await asyncio.sleep(0.02)


async def start_times(stack: Stack) -> dict[str, float]:
    """Seconds from each service's start to ready."""
    found: dict[str, float] = {}
    for name in _SERVICES:
        await stack.processes[name].stop(15)
        started = time.monotonic()
        await stack.restart(name)
        found[name] = time.monotonic() - started
    return found
