"""POST /twilio/status: call status callbacks, which may come doubled, late and out of order."""

import asyncio

from starlette.responses import Response

from runtime import logging
from runtime.errors import NatsAway
from webhooks import answers, metrics
from webhooks.decision import TERMINAL, end_reason
from webhooks.numbers import parties
from webhooks.record import Record
from webhooks.signature import SignedForm
from webhooks.wishes import Wishes, wish_in

_log = logging.get("status")

LOG_S = 8.0
"""Seconds that the log may take; Twilio waits 15, and nobody on the phone waits for this."""


class Status:
    """The status callback."""

    def __init__(self, record: Record, wishes: Wishes) -> None:
        self._record = record
        self._wishes = wishes

    async def answer(self, form: SignedForm) -> Response:
        """Write ``status_changed``, for a final status also ``call_ended``: 204.

        503 when the log does not take them, so that Twilio asks again where the callback's URL
        allows it (``#rc=5&rp=5xx``, connection overrides): after a 204 nobody would tell us again
        that the call is over. A repeat is harmless, for the events' ids come from the callback.
        """
        status = form.get("CallStatus")[:32]
        if not status:
            return answers.malformed("no CallStatus")
        try:
            async with asyncio.timeout(LOG_S):
                await self._write(form, status)
        except (NatsAway, TimeoutError):
            metrics.log_away.labels("status").inc()
            _log.warning("status not written: the log is away", call_id=form.call)
            return answers.unavailable()
        _log.info("call status", call_id=form.call, status=status)
        return answers.accepted()

    async def _write(self, form: SignedForm, status: str) -> None:
        if (wish := wish_in(form.path)) is not None:
            # A call that we placed: nobody else may know its id, if the create was not answered.
            await self._wishes.bind(wish, form.call)
            await self._record.rang(form.call, parties(form), timeout=LOG_S)
        await self._record.status_changed(
            form.call,
            cause(form, status),
            status=status,
            sequence=_number(form.get("SequenceNumber")),
            duration_s=_number(form.get("CallDuration")),
            timeout=LOG_S,
        )
        if status not in TERMINAL:
            return
        story = await self._record.story(form.call, timeout=LOG_S)
        if story.ended is None:
            reason = end_reason(status, story)
            await self._record.ended(form.call, reason, status=status, timeout=LOG_S)


def cause(form: SignedForm, status: str) -> str:
    """What makes a callback the same one again: its number in the call's sequence and status.

    Without a number Twilio's idempotency token, which only spans the retries of one request;
    without that the status, since a call reaches each status once.
    """
    sequence = _number(form.get("SequenceNumber"))
    if sequence is not None:
        return f"{sequence}/{status}"
    return form.idempotency_token or status


def _number(text: str) -> int | None:
    """A count from a form; None when it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None
