"""How a party's number is shown: masked, because the desk has no roles that may see it (pure).

Used by every page, and by the raw events. It never gives more than six digits of a number.
"""

import re

_E164 = re.compile(r"\+\d{10,15}\Z")
_WORDS = {"anonymous", "private", "restricted", "unavailable", "unknown"}
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z]{2,10}):(?P<user>[^@]*)(?P<host>@[A-Za-z0-9.-]+)?")


def mask(number: str) -> str:
    """``+15551233456`` as ``+15****3456``; the stars do not tell how long the number is.

    Shorter numbers show their last two digits, addresses (``sip:ann@example.com``) no user, and
    the carriers' words for a withheld number stay as they are.
    """
    number = number.strip()
    if not number:
        return "unknown"
    if number.lower() in _WORDS:
        return number.lower()
    if _E164.match(number):
        return f"{number[:3]}****{number[-4:]}"
    if address := _SCHEME.match(number):
        return f"{address['scheme'].lower()}:****{address['host'] or ''}"
    digits = re.sub(r"\D", "", number)
    return f"****{digits[-2:]}" if len(digits) >= 5 else "****"
