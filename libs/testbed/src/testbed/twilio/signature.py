"""Twilio's request signatures, written from the documented rule and not with Twilio's SDK.

Called for every webhook and every media socket the simulated Twilio opens. Never checks anything:
checking is the job of the services under test.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable


def sign_post(url: str, form: Iterable[tuple[str, str]], auth_token: str) -> str:
    """X-Twilio-Signature of a form POST: base64(HMAC-SHA1(token, url + sorted name+value)).

    `url` is the public URL as configured, without a fragment. Blank values count; a name given
    twice contributes its distinct values, sorted. Source: docs "Webhooks security".
    """
    values: dict[str, set[str]] = {}
    for name, value in form:
        values.setdefault(name, set()).add(value)
    text = url + "".join(name + value for name in sorted(values) for value in sorted(values[name]))
    return _hmac_sha1(text, auth_token)


def sign_get(url: str, auth_token: str) -> str:
    """Signature of a GET: the URL alone, its query included byte for byte.

    Also the media socket's upgrade, which Twilio signs as the `wss://` URL exactly as TwiML has it.
    """
    return _hmac_sha1(url, auth_token)


def _hmac_sha1(text: str, auth_token: str) -> str:
    digest = hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()
