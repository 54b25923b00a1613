"""What the simulated Twilio does wrong on request, and how long things take.

Set by tests, on the account or on one call, before or during it. Holds no behaviour.
"""

from dataclasses import dataclass
from typing import Literal

AfterStream = Literal["action", "next_verb", "hang_up", "silent"]
"""Where the call goes after a stream that failed; Twilio documents none of these for certain.
silent: nowhere, the line stays open until REST updates the call or somebody hangs up.
"""


@dataclass(slots=True)
class Faults:
    """Switches of one call; every call gets its own copy of the account's."""

    after_loss: AfterStream = "action"
    """A socket that broke without a close frame (31903)."""
    after_loss_delay_ms: float = 0.0
    after_refusal: AfterStream = "action"
    """A stream that could not be opened: refused, not 101, timed out (31901, 31902, 31920)."""
    after_refusal_delay_ms: float = 0.0
    action_after_hang_up: bool = False
    """Request the Connect action although the caller hung up (unconfirmed at Twilio)."""
    voice_webhook_copies: int = 1
    """2 = the first voice webhook is repeated under the same idempotency token."""
    callback_copies: int = 1
    """2 = every status and stream callback arrives doubled."""
    callback_delay_ms: float = 0.0
    """Every callback is that late."""
    callbacks_reversed: bool = False
    """Callbacks are held back and delivered newest first once the call is over."""
    start_delay_ms: float = 0.0
    """Time between `connected` and `start`."""
    double_frames: bool = False
    """Every media frame is sent twice, the second with the same counters."""


@dataclass(slots=True)
class RestFaults:
    """Switches of the REST API, for every request from now on."""

    delay_ms: float = 0.0
    """The answer is that late; the effect is not (a create that times out has dialled)."""
    refuse_status: int | None = None
    """Answer with this HTTP status (429, 500, ...) and do nothing."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long the parts of the telephone network take, in milliseconds of real time."""

    speech_ms: float = 20.0
    """A `<Say>` or `<Play>`, whatever its content."""
    pause_second_ms: float = 1000.0
    """One second of `<Pause>`."""
    ring_ms: float = 20.0
    """An outbound call between ringing and its answer."""
    webhook_total_ms: float = 15_000.0
    """Hard limit of a webhook with all its attempts."""
    connect_ms: float = 5_000.0
    """Limit for opening a media socket."""
    close_ms: float = 2_000.0
    """How long the close handshake of a media socket may take before the TCP is cut."""


@dataclass(frozen=True, slots=True)
class Callee:
    """How the far end of an outbound call, or of a `<Dial>`, behaves."""

    outcome: Literal["answered", "busy", "no-answer", "failed"] = "answered"
    talk_ms: float = 20.0
    """`<Dial>` only: how long the two talk."""
    answered_by: str = "human"
    """Outbound only: what answering-machine detection says, where it was asked for."""
