"""The tables of an assistant's profile: what stands below ``[pin]``, ``[[menu]]`` and the others.

Data only; the profile itself and its validation are assistant's.
"""

from datetime import date
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Sentence = Annotated[str, Meta(max_length=500)]


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

    key: Annotated[
        str, Meta(pattern="^[1-9*]$", description="the key; 0 is the human's", examples=["1"])
    ]
    label: Annotated[
        str,
        Meta(
            min_length=1, max_length=80, description="``Press 1 for <label>``", examples=["today"]
        ),
    ]
    tool: Annotated[
        str,
        Meta(
            min_length=1, description="the tool it calls, one of ``tools``", examples=["get_tasks"]
        ),
    ]
    arguments: Annotated[
        dict[str, Any],
        Meta(description="the tool's arguments", examples=[{"period": "today"}]),
    ] = {}
    empty: Annotated[
        Sentence,
        Meta(
            description="said when the tool gives an empty list",
            examples=["Nothing is planned for today."],
        ),
    ] = ""
    days: Annotated[
        bool, Meta(description="say the day of each entry, for items of several days")
    ] = False


class Transfer(Struct, frozen=True, forbid_unknown_fields=True):
    """The human behind key 0 and the tool transfer_to_human."""

    number: Annotated[
        str,
        Meta(
            description="E.164 number to dial, allowed by OUTBOUND_PREFIXES; empty: nobody",
            examples=["+15550100003"],
        ),
    ] = ""
    hours: Annotated[
        tuple[str, ...],
        Meta(
            description="when somebody is there, in ``time_zone``; empty: always",
            examples=[["mon-fri 09:00-17:00", "sat 10:00-12:00"]],
        ),
    ] = ()
    ring_s: Annotated[int, Meta(ge=5, le=120, description="how long it rings")] = 25
    whisper: Annotated[
        Sentence,
        Meta(
            description="said to the human before they are joined",
            examples=["A caller from the planner line."],
        ),
    ] = ""
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
    call_usd: Annotated[
        float, Meta(ge=0, description="budget of a call in USD; 0: none", examples=[0.5])
    ] = 0.0
    day_usd: Annotated[
        float,
        Meta(ge=0, description="budget of a day in USD, all callers; 0: none", examples=[20.0]),
    ] = 0.0
    calls_at_once: Annotated[int, Meta(ge=0, description="of one number; 0: no bound")] = 3
    calls_a_day: Annotated[int, Meta(ge=0, description="of one number; 0: no bound")] = 100
    filler_ms: Annotated[
        int,
        Meta(
            ge=0, le=60_000, description="a word of patience after a tool took this long; 0: none"
        ),
    ] = 2_500


class Recording(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether the sound of a call is kept, from the gate on; for how long, RECORDINGS_DAYS says."""

    keep: Annotated[bool, Meta(description="keep what both parties said")] = False
    announce: Annotated[
        Sentence,
        Meta(description="said before the first words of a recorded call; empty: nothing"),
    ] = "This call is recorded."


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

    since: Annotated[
        date | None, Meta(description="day the prices were looked up", examples=["2026-11-22"])
    ] = None
    text_in: Annotated[
        float, Meta(ge=0, description="text tokens given to the model", examples=[4.0])
    ] = 0.0
    cached_text_in: Annotated[
        float, Meta(ge=0, description="those of them that were cached", examples=[0.4])
    ] = 0.0
    audio_in: Annotated[
        float, Meta(ge=0, description="audio tokens given to the model", examples=[32.0])
    ] = 0.0
    cached_audio_in: Annotated[
        float, Meta(ge=0, description="those of them that were cached", examples=[0.4])
    ] = 0.0
    text_out: Annotated[float, Meta(ge=0, description="text tokens it made", examples=[24.0])] = 0.0
    audio_out: Annotated[float, Meta(ge=0, description="audio tokens it made", examples=[64.0])] = (
        0.0
    )
    transcription_minute: Annotated[
        float, Meta(ge=0, description="USD a minute transcribed", examples=[0.0045])
    ] = 0.0


class OutputCheck(Struct, frozen=True, forbid_unknown_fields=True):
    """Looks at the assistant's words while they are spoken."""

    kind: Annotated[
        Literal["off", "rules", "moderation"],
        Meta(description="rules: the list below; moderation: OpenAI's, and the list"),
    ] = "off"
    forbidden: Annotated[
        tuple[str, ...],
        Meta(
            description="regular expressions, without regard to case",
            examples=[["guarantee", "legal advice"]],
        ),
    ] = ()
    instead: Annotated[
        Sentence,
        Meta(description="what is said when the audio was cut; breaks no rule of the list"),
    ] = "Sorry, I cannot say that. Let us go on with your todos."
