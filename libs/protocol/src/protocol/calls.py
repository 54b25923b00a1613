"""Messages of ``calls.*``: the NATS service by which calls are placed, ended, transferred and
redirected.

Owned by webhooks. ``CallRefused`` is an answer, not an exception; its message is for a person.
"""

from typing import Literal

from msgspec import Struct

from protocol.ids import CallId, EventId


class PlaceCall(Struct, frozen=True):
    """``calls.place``: dial ``to`` and connect whoever answers to the assistant of ``from_``
    (ours by default).

    ``key`` names the wish: asked again under it, the same call is answered and nothing is dialled
    twice. ``machine``: what happens when a machine answers.
    """

    key: EventId
    to: str
    from_: str = ""
    machine: Literal["hang_up", "talk"] = "hang_up"
    ring_s: int = 30


class HangUpCall(Struct, frozen=True):
    """``calls.hang_up``."""

    call: CallId
    reason: str = ""


class TransferCall(Struct, frozen=True):
    """``calls.transfer``: to ``to``, or to the human of the profile when it is empty. Either must
    be allowed (OUTBOUND_PREFIXES) and counts (OUTBOUND_PER_MINUTE).
    """

    call: CallId
    to: str = ""


class RedirectCall(Struct, frozen=True):
    """``calls.redirect``: carry a live call on over a new stream, as if its stream had been lost;
    its agent stays. Refused beyond three new streams a minute.
    """

    call: CallId
    reason: str = ""


class CallPlaced(Struct, frozen=True, tag="placed"):
    call: CallId


class CallDone(Struct, frozen=True, tag="done"):
    call: CallId


class CallRefused(Struct, frozen=True, tag="refused"):
    """``reason``: not_allowed, too_many, unknown_call, not_in_progress, twilio, unknown_outcome."""

    reason: str
    message: str


PlaceReply = CallPlaced | CallRefused
CallReply = CallDone | CallRefused
