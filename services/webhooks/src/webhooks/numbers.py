"""Telephone numbers: who is who on a call, and which numbers may be dialled. Pure."""

import hashlib
from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from runtime.assistant import E164

NUMBER_BYTES = 96
"""UTF-8 bytes that are kept of a number or SIP address; two of them fit into a stream token."""


class Fields(Protocol):
    """A form of Twilio's; an absent field is empty."""

    def get(self, name: str) -> str: ...


class Parties(Struct, frozen=True):
    """``caller`` is the person and ``called`` our number, whoever dialled: profiles and records
    are found by these.
    """

    caller: str
    called: str
    direction: str


def parties(form: Fields) -> Parties:
    """Who is who in a request of Twilio's. On a call that we placed From is our number."""
    from_, to = number(form.get("From")), number(form.get("To"))
    if form.get("Direction").startswith("outbound"):
        return Parties(caller=to, called=from_, direction="outbound")
    return Parties(caller=from_, called=to, direction=form.get("Direction")[:32] or "inbound")


def number(text: str) -> str:
    """``text`` (From or To: E.164, ``anonymous``, a SIP address, anything) within our bounds.

    Characters that JSON would escape are left out, so that the bound holds in a token too.
    """
    plain = "".join(c for c in text[:1024] if c.isprintable() and c not in '"\\')
    return plain.encode()[:NUMBER_BYTES].decode(errors="ignore")


def refusal(to: str, prefixes: Sequence[str]) -> str | None:
    """Why ``to`` may not be dialled, for a person; None when it may."""
    if not E164.match(to):
        return "This is no international number: write it like +15550100003."
    if not prefixes:
        return "Calling out is switched off: no prefix is allowed (OUTBOUND_PREFIXES)."
    if not to.startswith(tuple(prefixes)):
        return "Numbers with this prefix may not be called (OUTBOUND_PREFIXES)."
    return None


def operator_number(operator: str) -> str:
    """The number that an operator calls as from a browser unless they say another one: fictional,
    +1 555 010 0100 to 0999, always the same for a name. Two names in 900 may share one.
    """
    digest = hashlib.sha256(operator.encode()).digest()
    return f"+15550100{100 + int.from_bytes(digest[:8]) % 900}"


def masked(number: str) -> str:
    """``+12****3456``: enough of a number to know it again."""
    return f"{number[:3]}****{number[-4:]}" if len(number) > 8 else "****"


def caller_id(who: Parties) -> str:
    """The number that a transfer shows: the caller's, which Twilio allows for the call it belongs
    to, or ours for one that we placed or that is withheld. Empty: Twilio's choice.
    """
    shown = who.caller if who.direction != "outbound" and E164.match(who.caller) else who.called
    return shown if E164.match(shown) else ""
