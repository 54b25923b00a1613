"""The simulated Twilio: one account with its number, its calls and its clockwork.

Used by tests and the demo; the one object they make. Never serves HTTP itself (rest does) and
imports nothing of the system it calls.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from testbed.twilio.call import Call
from testbed.twilio.callbacks import Subscription
from testbed.twilio.faults import Callee, Faults, RestFaults, Timing
from testbed.twilio.forms import CallFacts, new_sid
from testbed.twilio.life import Network, Plan
from testbed.twilio.numbers import Numbers
from testbed.twilio.program import Fetch, Inline
from testbed.twilio.pump import Pump
from testbed.twilio.webhook import Routes, Webhooks


@dataclass(slots=True)
class TwilioAccount:
    """What a customer has configured; addresses are the public ones, which are signed.

    `auth_token` may be changed at any time: calls dialled later are signed with the new one.
    """

    sid: str
    auth_token: str = field(repr=False)
    number: str
    voice_url: str
    voice_method: str = "POST"
    voice_fallback_url: str | None = None
    status_callback: str | None = None


@dataclass(frozen=True, slots=True)
class OutboundCall:
    """What REST asked for."""

    to: str
    from_: str
    first: Fetch | Inline
    subscription: Subscription
    time_limit_s: float | None = None
    amd_callback: str | None = None
    """Where answering-machine detection reports, beside the call."""


class SimulatedTwilio:
    """An async context manager; leaving it drops every call and every task.

    `routes` maps public address prefixes to local ones, for http(s) and ws(s); see Routes.
    """

    def __init__(
        self,
        account: TwilioAccount,
        *,
        routes: Mapping[str, str] | None = None,
        faults: Faults | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.account = account
        self.faults = faults or Faults()
        """Copied into every call when it begins."""
        self.rest_faults = RestFaults()
        """What its REST API does wrong."""
        self.numbers = Numbers(account.sid)
        """The account's numbers, as its REST API shows them."""
        self.numbers.own(account.number)
        self.callee = Callee()
        """How the far end of the next outbound calls behaves."""
        self.dialled = Callee()
        """How the far end of a `<Dial>` behaves in the next calls."""
        self.calls: dict[str, Call] = {}
        """Every call by CallSid, finished ones included, oldest first."""
        timing = timing or Timing()
        routing = Routes(routes or {})
        self._webhooks = Webhooks(routing, timing.webhook_total_ms)
        self._network = Network(self._webhooks, routing, Pump(), timing)
        self._placed: asyncio.Queue[Call] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Drop all calls at once. Raises what went wrong inside the simulation, if anything."""
        errors: list[Exception] = []
        for call in self.calls.values():
            try:
                await call.abandon()
            except Exception as error:  # every call must be dropped before one is reported
                errors.append(error)
        await self._webhooks.close()
        if errors:
            raise ExceptionGroup("calls failed inside the simulation", errors)

    async def dial(
        self,
        from_: str,
        to: str | None = None,
        *,
        forwarded_from: str | None = None,
        caller_name: str | None = None,
        stir_verstat: str | None = "TN-Validation-Passed-A",
    ) -> Call:
        """A caller dials the account's number; the call is ringing when this returns."""
        account = self.account
        facts = CallFacts(
            call_sid=new_sid("CA"),
            account_sid=account.sid,
            from_=from_,
            to=to or account.number,
            direction="inbound",
            forwarded_from=forwarded_from,
            caller_name=caller_name,
            stir_verstat=stir_verstat,
        )
        first = Fetch(
            account.voice_url,
            account.voice_method,
            fallback_url=account.voice_fallback_url,
            copies=self.faults.voice_webhook_copies,
        )
        return self._begin(facts, first, Subscription(account.status_callback))

    def place(self, wanted: OutboundCall) -> Call:
        """Call out, as REST does; the call is queued when this returns."""
        facts = CallFacts(
            call_sid=new_sid("CA"),
            account_sid=self.account.sid,
            from_=wanted.from_,
            to=wanted.to,
            direction="outbound-api",
        )
        call = self._begin(facts, wanted.first, wanted.subscription, wanted.amd_callback)
        if wanted.time_limit_s is not None:
            call.limit(wanted.time_limit_s)
        self._placed.put_nowait(call)
        return call

    async def placed_call(self, timeout: float) -> Call:
        """The next outbound call not yet handed out here. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            return await self._placed.get()

    def _begin(
        self,
        facts: CallFacts,
        first: Fetch | Inline,
        subscription: Subscription,
        amd_callback: str | None = None,
    ) -> Call:
        plan = Plan(
            first, self.account.auth_token, subscription, self.callee, self.dialled, amd_callback
        )
        call = Call(facts, plan, self.faults, self._network)
        self.calls[call.sid] = call
        return call
