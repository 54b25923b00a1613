"""Messages of ``calls.*``: the NATS service by which calls are placed, opened from a browser,
ended, transferred and redirected.

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


class BrowserPhone(Struct, frozen=True):
    """``calls.browser_phone``: what this operator's browser can call."""

    operator: str


class OpenBrowserCall(Struct, frozen=True):
    """``calls.open_browser_call``: a call from a browser, by this operator. ``called`` is a number
    that a profile answers (empty: the first of ``calls.browser_phone``), ``caller`` the E.164
    number that the operator calls as (empty: the one of ``calls.browser_phone``).
    """

    operator: str
    called: str = ""
    caller: str = ""


class BrowserStreamEnded(Struct, frozen=True):
    """``calls.stream_ended``: the media socket of a browser call was closed; what follows? Asked
    for the operator who opened the call.
    """

    call: CallId
    operator: str


class BrowserLine(Struct, frozen=True):
    """An assistant and the number by which a browser calls it."""

    assistant: str
    number: str


class BrowserLines(Struct, frozen=True, tag="lines"):
    """``caller``: the number that the operator calls as unless they say another one. ``url``: the
    address of every media socket.
    """

    lines: tuple[BrowserLine, ...]
    caller: str
    url: str


class BrowserStream(Struct, frozen=True, tag="stream"):
    """Open a media socket at ``url`` with ``token`` in its ``start``, within a minute."""

    call: CallId
    url: str
    token: str


class AskAgain(Struct, frozen=True, tag="ask_again"):
    """What was offered last may still be on its way: ask again after so long."""

    call: CallId
    after_ms: int


class CallOver(Struct, frozen=True, tag="over"):
    """The call is over. ``reason`` as in ``call_ended``; ``sentence``: what the caller is told
    last, empty when there is nothing to say.
    """

    call: CallId
    reason: str
    sentence: str = ""


class CallPlaced(Struct, frozen=True, tag="placed"):
    call: CallId


class CallDone(Struct, frozen=True, tag="done"):
    call: CallId


class CallRefused(Struct, frozen=True, tag="refused"):
    """``reason``: not_allowed, too_many, unknown_call, not_in_progress, twilio, unknown_outcome."""

    reason: str
    message: str


BrowserPhoneReply = BrowserLines | CallRefused
OpenReply = BrowserStream | CallRefused
StreamEndedReply = BrowserStream | AskAgain | CallOver | CallRefused
PlaceReply = CallPlaced | CallRefused
CallReply = CallDone | CallRefused
