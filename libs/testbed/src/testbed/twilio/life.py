"""The course of one call from ringing to its last callback, in one task that leaves nothing behind.

Run by Call. Interrupts the TwiML program on a hang-up or a REST update and sets the final status.
Never reads TwiML itself and never sends frames.
"""

import asyncio
from dataclasses import dataclass

from testbed.twilio.callbacks import Callbacks, Subscription
from testbed.twilio.faults import Callee, Timing
from testbed.twilio.forms import amd_form
from testbed.twilio.leg import Leg
from testbed.twilio.program import Fetch, Inline, Program
from testbed.twilio.pump import Pump
from testbed.twilio.webhook import Routes, Webhooks


@dataclass(frozen=True, slots=True)
class Network:
    """What every call of one simulated Twilio shares."""

    webhooks: Webhooks
    routes: Routes
    pump: Pump
    timing: Timing


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a call before it begins."""

    first: Fetch | Inline
    auth_token: str
    subscription: Subscription
    callee: Callee
    """The far end of an outbound call."""
    dialled: Callee
    """The far end of every `<Dial>`."""
    amd_callback: str | None = None
    """Where asynchronous answering-machine detection reports."""


@dataclass(frozen=True, slots=True)
class HangUp:
    """Somebody ends the call; `abrupt` = the media socket breaks without `stop`."""

    reason: str
    abrupt: bool = False


Interruption = HangUp | Fetch | Inline


class Life:
    """Runs one call."""

    def __init__(self, leg: Leg, plan: Plan, network: Network) -> None:
        self._leg = leg
        self._plan = plan
        self._network = network
        self._interruption: Interruption | None = None
        self._interrupted = asyncio.Event()
        self.line_down = asyncio.Event()
        """Set once the call has its final status; callbacks may still be on their way."""
        self.end_reason: str | None = None

    def interrupt(self, interruption: Interruption) -> None:
        """Break off what the call does; a hang-up is final, else the latest one counts."""
        if not self._leg.over and not isinstance(self._interruption, HangUp):
            self._interruption = interruption
            self._interrupted.set()

    async def run(self) -> None:
        """The whole call. Raises what went wrong inside the simulation, nothing else."""
        leg = self._leg
        self._network.pump.add(leg)
        try:
            async with asyncio.TaskGroup() as group:
                callbacks = Callbacks(
                    leg,
                    self._network.webhooks,
                    self._plan.auth_token,
                    self._plan.subscription,
                    group,
                )
                reason = await self._converse(group, callbacks)
                self.end_reason = reason
                leg.note("ended", reason)
                leg.set_status(_final_status(reason, answered=leg.answered_ms is not None))
                callbacks.call_status(leg.status)
                callbacks.call_over()
                self.line_down.set()
                await self._network.pump.remove(leg)
        finally:
            if not leg.over:
                leg.set_status("failed")
            self.line_down.set()
            await self._network.pump.remove(leg)

    async def _converse(self, group: asyncio.TaskGroup, callbacks: Callbacks) -> str:
        program = Program(
            self._leg,
            self._network.webhooks,
            callbacks,
            self._network.timing,
            self._plan.auth_token,
            self._plan.dialled,
            self._network.routes.resolve,
        )
        doing = group.create_task(self._begin(program, callbacks))
        while True:
            await self._until_done_or_interrupted(group, doing)
            interruption, self._interruption = self._interruption, None
            self._interrupted.clear()
            if interruption is None:
                return doing.result()
            await self._break_off(doing, interruption)
            if isinstance(interruption, HangUp):
                return interruption.reason
            doing = group.create_task(program.follow(interruption))

    async def _begin(self, program: Program, callbacks: Callbacks) -> str:
        if self._leg.facts.direction != "inbound":
            for status in ("initiated", "ringing"):
                self._leg.set_status(status)
                callbacks.call_status(status)
            await asyncio.sleep(self._network.timing.ring_ms / 1000)
            if self._plan.callee.outcome != "answered":
                return self._plan.callee.outcome
            self._leg.set_status("in-progress")
            callbacks.call_status("in-progress")
            if self._plan.amd_callback is not None:
                form = amd_form(self._leg.facts, self._plan.callee.answered_by)
                callbacks.post(self._plan.amd_callback, "POST", form)
        return await program.follow(self._plan.first)

    async def _until_done_or_interrupted(
        self, group: asyncio.TaskGroup, doing: asyncio.Task[str]
    ) -> None:
        interrupted = group.create_task(self._interrupted.wait())
        await asyncio.wait({doing, interrupted}, return_when=asyncio.FIRST_COMPLETED)
        interrupted.cancel()

    async def _break_off(self, doing: asyncio.Task[str], interruption: Interruption) -> None:
        stream = self._leg.stream
        if stream is not None and stream.connected:
            if isinstance(interruption, HangUp) and interruption.abrupt:
                stream.vanish()
            else:
                await stream.stop()
                await asyncio.wait({doing}, timeout=self._network.timing.close_ms / 1000)
        doing.cancel()
        await asyncio.wait({doing})


def _final_status(reason: str, *, answered: bool) -> str:
    if answered:
        return "completed"
    return {
        "busy": "busy",
        "rejected_busy": "busy",
        "failed": "failed",
        "canceled": "canceled",
        "caller_hung_up": "no-answer",
    }.get(reason, "no-answer")
