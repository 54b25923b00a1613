"""The one-time token that lets a media socket carry a call: minted by webhooks, checked by
stream-ingress.

``<payload>.<mac>``, both base64url without padding; mac = HMAC-SHA256 over the payload text. It
travels as a ``<Parameter>`` (name and value together under 500 characters, TwiML ``<Stream>``).
One use only: the log refuses a second ``stream_started`` that expects the same previous leg.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from protocol.errors import StreamTokenError
from protocol.events import Channel
from protocol.ids import CallId, Leg

PARAMETER = "token"
"""Name of the ``<Parameter>`` that carries it."""
LIFETIME_S = 60
MAX_LENGTH = 490


class StreamToken(msgspec.Struct, frozen=True, array_like=True):
    """What a socket may claim. ``expires`` is Unix seconds; ``line_ms`` where this leg begins on
    the line.
    """

    call: CallId
    previous_leg: Leg
    caller: str
    called: str
    channel: Channel
    expires: int
    line_ms: int = 0
    operator: str = ""


def mint(token: StreamToken, secret: str) -> str:
    """The token as text, signed. Raises StreamTokenError when too long for a ``<Parameter>``."""
    payload = _text(msgspec.json.encode(token))
    text = f"{payload}.{_mac(payload, secret)}"
    if len(text) > MAX_LENGTH:
        raise StreamTokenError("the token is too long for a <Parameter>: a number of absurd length")
    return text


def verify(text: str, secrets: Sequence[str], now: float) -> StreamToken:
    """The token behind ``text`` if one of ``secrets`` signed it and ``now`` (Unix s) is before
    its end.

    Raises StreamTokenError that says what is wrong and never repeats the token.
    """
    payload, dot, mac = text.partition(".")
    if not dot or len(text) > MAX_LENGTH or not text.isascii():
        raise StreamTokenError("malformed token")
    if not any(hmac.compare_digest(_mac(payload, s).encode(), mac.encode()) for s in secrets):
        raise StreamTokenError("token with a foreign signature")
    try:
        padded = payload + "=" * (-len(payload) % 4)
        token = msgspec.json.decode(base64.urlsafe_b64decode(padded), type=StreamToken)
    except (binascii.Error, ValueError, msgspec.DecodeError):
        raise StreamTokenError("malformed token") from None
    if now >= token.expires:
        raise StreamTokenError("expired token")
    return token


def _mac(payload: str, secret: str) -> str:
    return _text(hmac.digest(secret.encode(), payload.encode(), hashlib.sha256))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
