"""The JSON of Twilio's Call resource and of its errors. Pure.

Called by the REST application. Never changes a call.
"""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from testbed.twilio.call import Call
from testbed.twilio.forms import API_VERSION, FINAL_STATUSES


def call_json(call: Call) -> dict[str, object]:
    """One call as REST shows it; unknown and unset fields are null, as at Twilio."""
    facts = call.facts
    uri = f"/{API_VERSION}/Accounts/{facts.account_sid}/Calls/{facts.call_sid}"
    final = call.status in FINAL_STATUSES
    created = call.created
    start = _after(created, call.answered_ms)
    end = _after(created, call.ended_ms)
    return {
        "sid": facts.call_sid,
        "account_sid": facts.account_sid,
        "api_version": API_VERSION,
        "from": facts.from_,
        "from_formatted": facts.from_,
        "to": facts.to,
        "to_formatted": facts.to,
        "direction": facts.direction,
        # REST knows no `initiated`: until it rings a call is queued
        "status": "queued" if call.status == "initiated" else call.status,
        "date_created": _rfc2822(created),
        "date_updated": _rfc2822(end or start or created),
        "start_time": _rfc2822(start),
        "end_time": _rfc2822(end),
        "duration": str(round(call.duration_s())) if final else None,
        "answered_by": None,
        "annotation": None,
        "caller_name": facts.caller_name,
        "forwarded_from": facts.forwarded_from,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": None,
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "trunk_sid": None,
        "uri": f"{uri}.json",
        "subresource_uris": {
            "recordings": f"{uri}/Recordings.json",
            "streams": f"{uri}/Streams.json",
        },
    }


def error_json(code: int, message: str, status: int) -> dict[str, object]:
    """The body of a refused REST request."""
    return {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }


def _after(created: datetime, ms: float | None) -> datetime | None:
    return None if ms is None else created + timedelta(milliseconds=ms)


def _rfc2822(moment: datetime | None) -> str | None:
    return None if moment is None else format_datetime(moment.astimezone(UTC))
