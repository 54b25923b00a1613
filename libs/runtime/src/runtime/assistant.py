"""An assistant's profile: what answers a called number, as a TOML file says it. Data and its
validation only; assistants finds and loads them.

Every field's description is its documentation: docs/assistants.md is generated from here.
"""

import re
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Sentence = Annotated[str, Meta(max_length=500)]
_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_HOURS = re.compile(_DAY + f"(?:-{_DAY})?" + r" (\d\d):(\d\d)-(\d\d):(\d\d)\Z")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
E164 = re.compile(r"\+[1-9][0-9]{4,14}\Z")


class TurnDetection(Struct, frozen=True, forbid_unknown_fields=True):
    """How the model tells that the caller has finished (OpenAI ``turn_detection``)."""

    kind: Annotated[
        Literal["server_vad", "semantic_vad"],
        Meta(description="server_vad: by silence; semantic_vad: by what was said"),
    ] = "server_vad"
    threshold: Annotated[
        float,
        Meta(ge=0, le=1, description="server_vad: loudness that is speech; raise on noisy lines"),
    ] = 0.5
    prefix_padding_ms: Annotated[
        int, Meta(ge=0, le=2000, description="server_vad: audio kept from before the speech")
    ] = 300
    silence_duration_ms: Annotated[
        int, Meta(ge=100, le=5000, description="server_vad: silence that ends a turn")
    ] = 500
    eagerness: Annotated[
        Literal["low", "medium", "high", "auto"],
        Meta(description="semantic_vad: how soon it answers"),
    ] = "auto"


class Pin(Struct, frozen=True, forbid_unknown_fields=True):
    """The gate before any AI session: digits on the keypad."""

    required: Annotated[bool, Meta(description="ask for a PIN before anything else")] = False
    without_pin: Annotated[
        Literal["refuse", "allow"],
        Meta(description="callers who have no PIN: refuse or let through"),
    ] = "refuse"
    digit_timeout_s: Annotated[
        Seconds, Meta(description="silence after a digit that ends the entry")
    ] = 4.0
    reminder_s: Annotated[Seconds, Meta(description="silence until the caller is reminded")] = 8.0
    reminders: Annotated[int, Meta(ge=0, le=10, description="reminders before hanging up")] = 2


class MenuItem(Struct, frozen=True, forbid_unknown_fields=True):
    """One key of the keypad menu."""

    key: Annotated[str, Meta(pattern="^[1-9*]$", description="the key; 0 is the human's")]
    label: Annotated[str, Meta(min_length=1, max_length=80, description="``Press 1 for <label>``")]
    tool: Annotated[str, Meta(min_length=1, description="the tool it calls, one of ``tools``")]
    arguments: Annotated[dict[str, Any], Meta(description="the tool's arguments")] = {}
    empty: Annotated[Sentence, Meta(description="said when the tool gives an empty list")] = ""


class Transfer(Struct, frozen=True, forbid_unknown_fields=True):
    """The human behind key 0 and the tool transfer_to_human."""

    number: Annotated[str, Meta(description="E.164 number to dial; empty: nobody")] = ""
    hours: Annotated[
        tuple[str, ...],
        Meta(description="when somebody is there, like ``mon-fri 09:00-17:00``; empty: always"),
    ] = ()
    ring_s: Annotated[int, Meta(ge=5, le=120, description="how long it rings")] = 25
    whisper: Annotated[Sentence, Meta(description="said to the human before they are joined")] = ""
    nobody: Annotated[Sentence, Meta(description="said to the caller when nobody answers")] = (
        "I am sorry, nobody is available right now. Please call again later. Goodbye."
    )


class Silence(Struct, frozen=True, forbid_unknown_fields=True):
    """What happens when the caller says nothing; counted from the end of the last audio heard."""

    reminder_s: Annotated[Seconds, Meta(description="until the caller is asked; 0: never")] = 12.0
    hang_up_s: Annotated[Seconds, Meta(description="until the call is ended; 0: never")] = 40.0


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of one call and of one caller."""

    call_s: Annotated[Seconds, Meta(description="longest call; 0: no bound")] = 1800.0
    warn_before_s: Annotated[Seconds, Meta(description="spoken warning this long before")] = 60.0
    call_usd: Annotated[float, Meta(ge=0, description="budget of a call; 0: none")] = 0.0
    day_usd: Annotated[float, Meta(ge=0, description="budget of a day, all callers; 0: none")] = 0.0
    calls_at_once: Annotated[int, Meta(ge=0, description="of one number; 0: no bound")] = 3
    calls_a_day: Annotated[int, Meta(ge=0, description="of one number; 0: no bound")] = 100
    filler_ms: Annotated[
        int,
        Meta(
            ge=0, le=60_000, description="a word of patience after a tool took this long; 0: none"
        ),
    ] = 2_500


class Strangers(Struct, frozen=True, forbid_unknown_fields=True):
    """Callers without a record, and withheld numbers."""

    unknown: Annotated[
        Literal["new", "guest", "refuse"],
        Meta(description="a number seen for the first time: a record, none, or no call"),
    ] = "new"
    withheld: Annotated[
        Literal["guest", "refuse"], Meta(description="anonymous and SIP callers")
    ] = "guest"


class Prices(Struct, frozen=True, forbid_unknown_fields=True):
    """USD per million tokens of the model, and since when."""

    since: Annotated[date | None, Meta(description="day the prices were looked up")] = None
    text_in: Annotated[float, Meta(ge=0)] = 0.0
    cached_text_in: Annotated[float, Meta(ge=0)] = 0.0
    audio_in: Annotated[float, Meta(ge=0)] = 0.0
    cached_audio_in: Annotated[float, Meta(ge=0)] = 0.0
    text_out: Annotated[float, Meta(ge=0)] = 0.0
    audio_out: Annotated[float, Meta(ge=0)] = 0.0
    transcription_minute: Annotated[float, Meta(ge=0, description="USD a minute transcribed")] = 0.0


class OutputCheck(Struct, frozen=True, forbid_unknown_fields=True):
    """Looks at the assistant's words while they are spoken."""

    kind: Annotated[
        Literal["off", "rules", "moderation"],
        Meta(description="rules: the list below; moderation: OpenAI's, and the list"),
    ] = "off"
    forbidden: Annotated[
        tuple[str, ...], Meta(description="regular expressions, without regard to case")
    ] = ()
    instead: Annotated[Sentence, Meta(description="what is said when the audio was cut")] = (
        "Sorry, I cannot say that. Let us go on with your todos."
    )


class Assistant(Struct, frozen=True, forbid_unknown_fields=True):
    """One profile."""

    name: Annotated[
        str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$", description="unique; shown at the desk")
    ]
    numbers: Annotated[
        tuple[str, ...],
        Meta(min_length=1, description="called numbers, or ``*`` for all that nobody else answers"),
    ]
    instructions: Annotated[
        str, Meta(min_length=1, max_length=50_000, description="what the model is told")
    ]
    greeting: Annotated[
        str,
        Meta(min_length=1, max_length=2_000, description="what it is told about its first words"),
    ]
    mode: Annotated[
        Literal["conversation", "keypad"], Meta(description="how a call begins (after the gate)")
    ] = "conversation"
    tools: Annotated[tuple[str, ...], Meta(description="the only tools the model may call")] = ()
    voice: Annotated[str, Meta(description="OpenAI's name of the voice")] = "marin"
    language: Annotated[
        str, Meta(pattern="^[a-z]{2}$", description="of transcripts and prompts")
    ] = "en"
    time_zone: Annotated[str, Meta(description="IANA zone of callers without one")] = "UTC"
    model: Annotated[str, Meta(description="empty: OPENAI_MODEL")] = ""
    transcription_model: Annotated[str, Meta(description="empty: OPENAI_TRANSCRIPTION_MODEL")] = ""
    max_output_tokens: Annotated[int, Meta(ge=1, le=4096, description="of one response")] = 1024
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
        if not _HOURS.match(hours):
            found.append(f"transfer.hours[{place}]: {hours!r} is not like 'mon-fri 09:00-17:00'")
    for place, pattern in enumerate(assistant.output_check.forbidden):
        try:
            re.compile(pattern)
        except re.error as error:
            found.append(f"output_check.forbidden[{place}]: no regular expression ({error})")
    return found


def somebody_there(transfer: Transfer, now: datetime) -> bool:
    """Whether the human may be called at ``now`` (in the profile's zone)."""
    if not transfer.number:
        return False
    if not transfer.hours:
        return True
    for hours in transfer.hours:
        match = _HOURS.match(hours)
        if match is None:
            continue
        first, last = _DAYS.index(match[1]), _DAYS.index(match[2] or match[1])
        days = range(first, last + 1) if first <= last else (*range(first, 7), *range(last + 1))
        minute = now.hour * 60 + now.minute
        opens, closes = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
        if now.weekday() in days and opens <= minute < closes:
            return True
    return False
