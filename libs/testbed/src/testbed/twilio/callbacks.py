"""Status callbacks of one call, delivered beside it; doubled, late or reversed on request.

Called by the call and its program. Never waits for an answer on the call's own path, and an answer
changes nothing, as at Twilio.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.twilio.forms import FINAL_STATUSES, status_form, stream_form
from testbed.twilio.leg import Leg
from testbed.twilio.twiml import Stream
from testbed.twilio.webhook import WebhookError, Webhooks

DEFAULT_EVENTS = frozenset({"completed"})


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where call status callbacks go and which events were subscribed."""

    url: str | None = None
    method: str = "POST"
    events: frozenset[str] = DEFAULT_EVENTS


class Callbacks:
    """Posts the callbacks of one call in tasks of the call's own group."""

    def __init__(
        self,
        leg: Leg,
        webhooks: Webhooks,
        auth_token: str,
        subscription: Subscription,
        group: asyncio.TaskGroup,
    ) -> None:
        self._leg = leg
        self._webhooks = webhooks
        self._auth_token = auth_token
        self._subscription = subscription
        self._group = group
        self._sequence = 0
        self._held: list[tuple[str, str, Mapping[str, str]]] = []
        self._last: asyncio.Task[None] | None = None

    def call_status(self, status: str) -> None:
        """Report a call status if its event was subscribed."""
        event = {"in-progress": "answered"}.get(status, status)
        final = status in FINAL_STATUSES
        if final:
            event = "completed"
        if self._subscription.url is None or event not in self._subscription.events:
            return
        duration_s = self._leg.duration_s() if final else None
        form = status_form(self._leg.facts, status, self._sequence, duration_s)
        self._sequence += 1
        self.post(self._subscription.url, self._subscription.method, form)

    def stream_status(
        self, stream: Stream, stream_sid: str, event: str, error: str | None = None
    ) -> None:
        """Report stream-started, stream-stopped or stream-error if the stream has a callback."""
        if stream.status_callback is None:
            return
        form = stream_form(self._leg.facts, stream_sid, stream.name, event, error)
        self.post(stream.status_callback, stream.status_callback_method, form)

    def post(self, url: str, method: str, form: Mapping[str, str]) -> None:
        """Send any form beside the call, with the faults switched on at this moment."""
        if self._leg.faults.callbacks_reversed and not self._leg.over:
            self._held.append((url, method, form))
            return
        self._spawn(url, method, form)

    def call_over(self) -> None:
        """The call is over and has posted its last: let go of what was held, newest first."""
        for url, method, form in reversed(self._held):
            self._spawn(url, method, form)
        self._held.clear()

    def _spawn(self, url: str, method: str, form: Mapping[str, str]) -> None:
        self._last = self._group.create_task(self._deliver(url, method, form, self._last))

    async def _deliver(
        self, url: str, method: str, form: Mapping[str, str], previous: asyncio.Task[None] | None
    ) -> None:
        if previous is not None:
            await asyncio.wait({previous})
        await asyncio.sleep(self._leg.faults.callback_delay_ms / 1000)
        name = form.get("StreamEvent", form.get("CallStatus", ""))
        for _ in range(self._leg.faults.callback_copies):
            try:
                answer = await self._webhooks.request(url, form, self._auth_token, method=method)
                self._leg.note("callback", f"{name} answered {answer.status}")
            except WebhookError as error:
                self._leg.note("callback", f"{name} failed {error}")
