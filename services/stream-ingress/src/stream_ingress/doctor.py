"""``python -m stream_ingress.doctor``: looks at what stream-ingress needs: its settings, NATS, and
agents with room for calls.
"""

import asyncio
from collections.abc import Sequence

from protocol import codec, subjects
from protocol.placement import AgentLoad
from protocol.streams import CALLS
from runtime import doctor, doctor_nats
from runtime.bus import Bus
from runtime.doctor import Check, Finding, note, ok, wrong
from runtime.subscribed import Message
from stream_ingress.settings import Settings

LOADS_S = 1.5
"""Several times what a worker takes between two words of its load."""


def main() -> int:
    """0: nothing is wrong, 1: something is."""
    return doctor.run("stream-ingress", Settings, checks)


def checks(settings: Settings) -> list[Check]:
    """All of stream-ingress'."""
    return [doctor_nats.check(settings, "stream-ingress", {CALLS.name: "webhooks"}, agents)]


async def agents(bus: Bus) -> Sequence[Finding]:
    """Which workers say that they are there, and their room."""
    heard: dict[str, AgentLoad] = {}

    async def load(message: Message) -> None:
        said = codec.decode(AgentLoad, message.data)
        heard[said.worker] = said

    subscribed = await bus.subscribe(subjects.AGENTS_LOAD, load)
    await asyncio.sleep(LOADS_S)
    await subscribed.stop()
    return judged(list(heard.values()))


def judged(loads: Sequence[AgentLoad]) -> list[Finding]:
    """What the loads of all workers mean for the next caller."""
    if not loads:
        says = "No agent worker is heard: callers hear a hold sentence, and then an apology."
        return [wrong("agents", says, "Start ai-agent on this NATS.")]
    working = [load for load in loads if not load.draining]
    free = sum(load.free for load in working)
    if not working:
        says = "Every agent worker is draining: the next caller waits for a new one."
        return [wrong("agents", says, "Start another ai-agent.")]
    if not free:
        says = f"{len(working)} agent workers are heard, and none has a free slot."
        return [wrong("agents", says, "Start another ai-agent, or raise AGENT_SLOTS.")]
    findings = [ok("agents", f"{len(working)} agent workers are heard, with {free} free slots.")]
    if len(working) == 1:
        says = "There is one agent worker only: a call of it cannot be handed over."
        findings.append(note("agents", says, "Start a second one for more than a first try."))
    return findings


if __name__ == "__main__":
    raise SystemExit(main())
