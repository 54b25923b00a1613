"""An assistant's profile: what answers a called number, as a TOML file says it. Data and its
validation only; assistants finds and loads them.

Every field's description is its documentation: docs/assistants.md is generated from here.
"""

import re
from datetime import datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

from runtime.profile_tables import (
    Limits,
    MenuItem,
    OutputCheck,
    Pin,
    Prices,
    Recording,
    Silence,
    Strangers,
    Transfer,
    TurnDetection,
)

__all__ = [
    "E164",
    "Assistant",
    "Limits",
    "MenuItem",
    "OutputCheck",
    "Pin",
    "Prices",
    "Recording",
    "Silence",
    "Strangers",
    "Transfer",
    "TurnDetection",
    "problems",
    "somebody_there",
]

_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_HOURS = re.compile(_DAY + f"(?:-{_DAY})?" + r" (\d\d):(\d\d)-(\d\d):(\d\d)\Z")
_DIALLED = re.compile(r"[-+0-9 ()./]+\Z")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
E164 = re.compile(r"\+[1-9][0-9]{4,14}\Z")


class Assistant(Struct, frozen=True, forbid_unknown_fields=True):
    """One profile."""

    name: Annotated[
        str,
        Meta(
            pattern="^[a-z0-9][a-z0-9-]{0,63}$",
            description="unique; shown at the desk",
            examples=["on-your-plate"],
        ),
    ]
    numbers: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            description="called numbers, or ``*`` for all that nobody else answers",
            examples=[["+15550100002"]],
        ),
    ]
    instructions: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=50_000,
            description="what the model is told",
            examples=["You are a planner assistant on the phone."],
        ),
    ]
    greeting: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=2_000,
            description="what it is told about its first words",
            examples=["Greet the caller in one short sentence."],
        ),
    ]
    mode: Annotated[
        Literal["conversation", "keypad"], Meta(description="how a call begins (after the gate)")
    ] = "conversation"
    tools: Annotated[
        tuple[str, ...],
        Meta(description="the only tools the model may call", examples=[["get_tasks"]]),
    ] = ()
    voice: Annotated[str, Meta(description="OpenAI's name of the voice")] = "marin"
    language: Annotated[
        str, Meta(pattern="^[a-z]{2}$", description="language of transcripts and prompts")
    ] = "en"
    time_zone: Annotated[str, Meta(description="IANA zone of callers without one")] = "UTC"
    model: Annotated[
        str,
        Meta(description="Realtime model; empty: OPENAI_MODEL", examples=["gpt-realtime-2.1-mini"]),
    ] = ""
    transcription_model: Annotated[
        str,
        Meta(
            description="transcribes the caller; empty: OPENAI_TRANSCRIPTION_MODEL",
            examples=["gpt-transcribe"],
        ),
    ] = ""
    max_output_tokens: Annotated[
        int, Meta(ge=1, le=4096, description="most tokens of one response")
    ] = 1024
    tool_deadline_ms: Annotated[
        int, Meta(ge=100, le=60_000, description="how long a tool is waited for")
    ] = 5_000
    noise_reduction: Annotated[
        Literal["off", "near_field", "far_field"],
        Meta(description="OpenAI's filter before the VAD"),
    ] = "off"
    turn_detection: TurnDetection = TurnDetection()
    pin: Pin = Pin()
    menu: tuple[MenuItem, ...] = ()
    transfer: Transfer = Transfer()
    silence: Silence = Silence()
    limits: Limits = Limits()
    recording: Recording = Recording()
    strangers: Strangers = Strangers()
    prices: Prices = Prices()
    output_check: OutputCheck = OutputCheck()


def problems(assistant: Assistant) -> list[str]:
    """What the types cannot say, as ``key: reason``; empty when the profile can be used."""
    found: list[str] = []
    try:
        ZoneInfo(assistant.time_zone)
    except (KeyError, ValueError, OSError):
        found.append(f"time_zone: {assistant.time_zone!r} is no IANA time zone")
    for place, called in enumerate(assistant.numbers):
        if not called.strip():
            found.append(f"numbers[{place}]: is empty")
        elif _DIALLED.match(called) and not E164.match(called):
            found.append(f"numbers[{place}]: {called!r} is not E.164, like +15550100002")
    for key in ("digit_timeout_s", "reminder_s"):
        if assistant.pin.required and getattr(assistant.pin, key) < 1:
            found.append(f"pin.{key}: must be at least 1 second")
    keys = [item.key for item in assistant.menu]
    for place, item in enumerate(assistant.menu):
        if keys.index(item.key) != place:
            found.append(f"menu[{place}].key: {item.key!r} is used twice")
        if item.tool not in assistant.tools:
            found.append(f"menu[{place}].tool: {item.tool!r} is not among tools")
    if assistant.mode == "keypad" and not assistant.menu:
        found.append("menu: mode is keypad, so at least one item is needed")
    number = assistant.transfer.number
    if number and not E164.match(number):
        found.append(f"transfer.number: {number!r} is not E.164, like +15550100003")
    for place, hours in enumerate(assistant.transfer.hours):
        if (span := _span(hours)) is None:
            found.append(f"transfer.hours[{place}]: {hours!r} is not like 'mon-fri 09:00-17:00'")
        elif span[1] >= span[2]:
            found.append(
                f"transfer.hours[{place}]: {hours!r} ends before it begins; hours over midnight"
                " are two entries, until 24:00 and from 00:00"
            )
    if assistant.prices.since is None and assistant.prices != Prices():
        found.append("prices.since: is missing; prices need the day they were looked up")
    return found + _check_problems(assistant.output_check)


def _check_problems(check: OutputCheck) -> list[str]:
    """The model says ``instead`` in words of its own too, so the rules must let it pass."""
    found: list[str] = []
    for place, pattern in enumerate(check.forbidden):
        try:
            hit = re.search(pattern, check.instead, re.IGNORECASE)
        except re.error as error:
            found.append(f"output_check.forbidden[{place}]: no regular expression ({error})")
            continue
        if hit and check.kind != "off":
            found.append(
                f"output_check.instead: forbidden[{place}] ({pattern!r}) forbids {hit[0]!r} in it,"
                " so it would be cut as well"
            )
    return found


def somebody_there(transfer: Transfer, now: datetime) -> bool:
    """Whether the human may be called at ``now`` (in the profile's zone)."""
    if not transfer.number:
        return False
    if not transfer.hours:
        return True
    for hours in transfer.hours:
        span = _span(hours)
        if span is None:
            continue
        days, opens, closes = span
        if now.weekday() in days and opens <= now.hour * 60 + now.minute < closes:
            return True
    return False


def _span(hours: str) -> tuple[tuple[int, ...], int, int] | None:
    """Weekdays (Monday is 0) and the minutes of the day from and until; None when it is no
    span of hours.
    """
    match = _HOURS.match(hours)
    if match is None:
        return None
    first, last = _DAYS.index(match[1]), _DAYS.index(match[2] or match[1])
    days = range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1))
    opens, closes = (60 * int(match[n]) + int(match[n + 1]) for n in (3, 5))
    if max(int(match[4]), int(match[6])) > 59 or max(opens, closes) > 24 * 60:
        return None
    return tuple(days), opens, closes
