"""The callers of the bench, in a process of their own, ticking on one clock.

`python -m testbed.bench.phones SPEC` (JSON, see Spec): connects, prints `talking` once every call
was answered, measures from a line `measure` on standard input to a line `stop`, prints its result
as JSON.
"""

import asyncio
import gc
import json
import sys
import time
from dataclasses import asdict, dataclass, field

from testbed.bench.caller import BYTES_PER_S, Caller, Spec
from testbed.bench.quantiles import quantiles
from testbed.lag import Lag

FRAME_S = 0.02
ANSWERED_WITHIN_S = 30.0


@dataclass
class Result:
    """Of the measured time. Latencies in ms, from the model's delta to the caller's socket."""

    seconds: float = 0.0
    frames_sent: int = 0
    late_frames: int = 0
    """Sent more than 10 ms after their moment, which is this process's own fault."""
    heard_s: float = 0.0
    """Seconds of the assistant's speech that reached the callers."""
    delta_ms: dict[str, float] = field(default_factory=dict[str, float])
    greeting_ms: dict[str, float] = field(default_factory=dict[str, float])
    """From dialling to the first audio."""
    lag_p99_ms: float = 0.0
    lost_calls: int = 0
    ring_kib: float = 0.0
    """What a ring that keeps the caller's last 30 s held at the end, the mean of all calls."""
    cleared: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(caller's number, monotonic s) of each clear, and of each key that was pressed."""
    pressed: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    started: list[float] = field(default_factory=list[float])
    """Monotonic s at which each call's stream said ``start``."""


class Phones:
    """All callers of one run, ticking on one clock, spread over the 20 ms."""

    def __init__(self, spec: Spec) -> None:
        self._at_once = spec.dials_at_once
        self._callers = [Caller(spec, number) for number in range(spec.calls)]
        self._lag = Lag()
        self._result = Result()
        self._measuring = False

    async def run(self, lines: asyncio.StreamReader) -> Result:
        """Dial, talk, measure between the two words, hang up."""
        room = asyncio.Semaphore(self._at_once)

        async def dial(caller: Caller) -> None:
            async with room:
                await caller.dial()
                async with asyncio.timeout(ANSWERED_WITHIN_S):
                    await caller.first_audio.wait()

        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(self._speak())
            async with asyncio.TaskGroup() as dials:
                for caller in self._callers:
                    dials.create_task(dial(caller))
            print("talking", flush=True)
            await lines.readline()
            self._begin()
            started = time.monotonic()
            await lines.readline()
            self._result.seconds = time.monotonic() - started
            self._end()
            speaking.cancel()
        for caller in self._callers:
            caller.hang_up()
        await asyncio.sleep(0.5)
        return self._result

    async def _speak(self) -> None:
        """One slot of 20 ms after the other; within a slot the callers are spread out."""
        loop = asyncio.get_running_loop()
        parts = min(20, len(self._callers))
        groups = [self._callers[part::parts] for part in range(parts)]
        due, part = loop.time(), 0
        while True:
            due += FRAME_S / parts
            delay = due - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            elif delay < -0.01 and self._measuring:
                self._result.late_frames += len(groups[part])
            for caller in groups[part]:
                caller.speak()
            if self._measuring:
                self._result.frames_sent += len(groups[part])
            part = (part + 1) % parts

    def _begin(self) -> None:
        for caller in self._callers:
            caller.delta_ms.clear()
            caller.heard_bytes = 0
            caller.cleared.clear()
            caller.pressed.clear()
        self._lag.start()
        self._measuring = True

    def _end(self) -> None:
        self._measuring = False
        result, callers = self._result, self._callers
        result.delta_ms = asdict(quantiles([ms for c in callers for ms in c.delta_ms]))
        result.greeting_ms = asdict(quantiles([c.greeting_ms for c in callers]))
        result.heard_s = sum(c.heard_bytes for c in callers) / BYTES_PER_S
        result.cleared = [at for c in callers for at in c.cleared]
        result.pressed = [at for c in callers for at in c.pressed]
        result.started = [c.started for c in callers]
        result.lag_p99_ms = quantiles(self._lag.late_ms).p99
        result.ring_kib = sum(c.ringed_bytes for c in callers) / len(callers) / 1024
        result.lost_calls = sum(c.lost for c in callers)


async def _main(spec: Spec) -> None:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    result = await Phones(spec).run(lines)
    print(json.dumps(asdict(result)), flush=True)


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 50)
    asyncio.run(_main(Spec(**json.loads(sys.argv[1]))))
