"""The form fields Twilio sends with every webhook of a call, blank ones included. Pure.

Called by a call's program and its callbacks. Never signs or sends anything.
"""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

API_VERSION = "2010-04-01"
FINAL_STATUSES = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


def new_sid(prefix: str) -> str:
    """A fresh identifier: two letters and 32 hex digits."""
    return prefix + secrets.token_hex(16)


@dataclass(frozen=True, slots=True)
class CallFacts:
    """What never changes during a call."""

    call_sid: str
    account_sid: str
    from_: str
    to: str
    direction: str  # inbound | outbound-api
    forwarded_from: str | None = None
    caller_name: str | None = None
    stir_verstat: str | None = None


def call_form(facts: CallFacts, status: str) -> dict[str, str]:
    """The standard parameters of a voice webhook or `action` request."""
    form = {
        "AccountSid": facts.account_sid,
        "ApiVersion": API_VERSION,
        "CallSid": facts.call_sid,
        "CallStatus": status,
        "Called": facts.to,
        "Caller": facts.from_,
        "Direction": facts.direction,
        "From": facts.from_,
        "To": facts.to,
    }
    for party in ("Called", "Caller", "From", "To"):
        number = form[party]
        form |= {f"{party}City": "", f"{party}State": "", f"{party}Zip": ""}
        form[f"{party}Country"] = "US" if number.startswith("+1") else ""
    if facts.direction == "inbound":
        form["CallToken"] = '{"parentCallInfoToken":"' + facts.call_sid.lower() + '"}'
    for name, value in (
        ("ForwardedFrom", facts.forwarded_from),
        ("CallerName", facts.caller_name),
        ("StirVerstat", facts.stir_verstat),
    ):
        if value is not None:
            form[name] = value
    return form


def status_form(
    facts: CallFacts, status: str, sequence: int, duration_s: float | None
) -> dict[str, str]:
    """A call status callback; `duration_s` (answered to ended) only with the final one."""
    form = call_form(facts, status) | {
        "Timestamp": format_datetime(datetime.now(UTC)),
        "CallbackSource": "call-progress-events",
        "SequenceNumber": str(sequence),
    }
    if duration_s is not None:
        form["CallDuration"] = str(round(duration_s))
        form["Duration"] = str(int(duration_s // 60) + 1)  # billed minutes
        form["SipResponseCode"] = {"busy": "486", "no-answer": "487", "failed": "404"}.get(
            status, "200"
        )
    return form


def stream_form(
    facts: CallFacts, stream_sid: str, name: str | None, event: str, error: str | None
) -> dict[str, str]:
    """A stream status callback: stream-started, stream-stopped or stream-error."""
    form = {
        "AccountSid": facts.account_sid,
        "CallSid": facts.call_sid,
        "StreamSid": stream_sid,
        "StreamName": name or stream_sid,
        "StreamEvent": event,
        "Timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    if error is not None:
        form["StreamError"] = error
    return form


def amd_form(facts: CallFacts, answered_by: str) -> dict[str, str]:
    """What asynchronous answering-machine detection reports; the duration is in ms."""
    return {
        "AccountSid": facts.account_sid,
        "CallSid": facts.call_sid,
        "AnsweredBy": answered_by,
        "MachineDetectionDuration": "2450",
    }
