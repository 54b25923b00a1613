"""POST /twilio/stream-status: what Twilio says about a media socket. Counted and logged only.

The ingress, which owns the socket, writes its fate to the log; this is a second opinion for the
operator, never trusted for more.
"""

import re

from starlette.responses import Response

from runtime import logging
from webhooks import answers, metrics
from webhooks.signature import SignedForm

_log = logging.get("stream-status")

_EVENTS = frozenset({"stream-started", "stream-stopped", "stream-error"})
_CODE = re.compile(r"\b3\d{4}\b", re.ASCII)


async def answer(form: SignedForm) -> Response:
    """204, whatever it says."""
    event = form.get("StreamEvent")
    known = event if event in _EVENTS else "other"
    metrics.stream_callbacks.labels(known).inc()
    if known == "stream-error":
        code = _CODE.search(form.get("StreamError")[:500])
        _log.warning(
            "twilio reports a stream error",
            call_id=form.call,
            code=code.group() if code else None,
            pii_error=form.get("StreamError")[:500],
        )
    else:
        _log.info("stream status", call_id=form.call, stream_event=known)
    return answers.accepted()
