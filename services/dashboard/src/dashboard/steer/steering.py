"""Doing an operator's act (shell): written down first, then asked of the worker that holds the
call. Where no worker answers, webhooks hangs up and transfers.
"""

from typing import Any

from msgspec import Struct

from dashboard import metrics
from dashboard.people.operator import Operator
from dashboard.people.trail import Trail
from dashboard.steer.acts import Asked
from protocol import commands, subjects
from protocol.calls import CallRefused, CallReply, HangUpCall, TransferCall
from protocol.commands import HangUp, Transfer
from protocol.errors import DecodeError
from protocol.ids import CallId
from runtime import logging
from runtime.bus import Bus
from runtime.errors import NatsAway, NoAnswer, Refused

_log = logging.get("steering")
ANSWER_S = 2.0
"""Seconds for a worker's answer."""
DIALS_S = 5.0
"""The same where the worker itself asks webhooks: who asked again meanwhile would dial twice."""
WEBHOOKS_S = 5.0
"""Seconds for webhooks, which asks Twilio."""
NO_WORKER = "No worker holds this call: nothing was done."


class Outcome(Struct, frozen=True):
    """What came of an act. ``words`` are for the operator."""

    done: bool
    words: str


class Steering:
    """Asks workers, else webhooks."""

    def __init__(self, bus: Bus, trail: Trail) -> None:
        self._bus = bus
        self._trail = trail

    async def do(self, operator: Operator, call: CallId, asked: Asked) -> Outcome:
        """Do what ``operator`` asked for; refusals and silence are outcomes. Each act stands in
        the call's log and in the trail before anything happens.
        """
        try:
            await self._trail.acted(operator, call, asked.act, asked.detail)
        except NatsAway:
            return Outcome(False, "The call's log does not answer, so nothing was done.")
        outcome = await self._ask(call, asked)
        metrics.acts.labels(asked.act, "done" if outcome.done else "not_done").inc()
        _log.info("operator acted", call_id=call, act=asked.act, done=outcome.done)
        return outcome

    async def tell(self, call: CallId, asked: Asked) -> None:
        """Ask without writing it down and without caring for the answer: for what follows from an
        act, like the end of a connection.
        """
        await self._ask(call, asked)

    async def _ask(self, call: CallId, asked: Asked) -> Outcome:
        dials = isinstance(asked.command, Transfer) and asked.command.to is not None
        try:
            reply: commands.Reply = await self._bus.request(
                subjects.command(call),
                asked.command,
                commands.Reply,
                timeout=DIALS_S if dials else ANSWER_S,
            )
        except NoAnswer:
            return await self._without_worker(call, asked)
        except NatsAway:
            return Outcome(False, "NATS is away, so nothing was done.")
        except (Refused, DecodeError):
            return Outcome(False, "The worker's answer was not understood; look at the call.")
        if isinstance(reply, commands.Refused):
            return Outcome(False, _sentence(reply.message))
        return Outcome(True, asked.done)

    async def _without_worker(self, call: CallId, asked: Asked) -> Outcome:
        match asked.command:
            case HangUp():
                return await self._webhooks("hang_up", HangUpCall(call, "operator"), "hung up")
            case Transfer(to=to):
                what = "put the caller through"
                return await self._webhooks("transfer", TransferCall(call, to or ""), what)
            case _:
                return Outcome(False, NO_WORKER)

    async def _webhooks(self, verb: str, ask: HangUpCall | TransferCall, did: str) -> Outcome:
        nobody = "No worker answered"
        try:
            reply: Any = await self._bus.request(
                subjects.calls(verb), ask, CallReply, timeout=WEBHOOKS_S
            )
        except NoAnswer:
            return Outcome(False, f"{nobody}, and webhooks did not either: nothing is known.")
        except (NatsAway, Refused, DecodeError):
            return Outcome(False, f"{nobody}, and webhooks failed; look at the call.")
        if isinstance(reply, CallRefused):
            return Outcome(False, f"{nobody}, and webhooks did not do it: {reply.message}")
        return Outcome(True, f"{nobody}; webhooks {did} instead.")


def _sentence(message: str) -> str:
    """A refusal's message as a sentence of the page."""
    text = message.strip() or "The worker refused it"
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"
