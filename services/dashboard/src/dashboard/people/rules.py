"""Rules of names, passwords, tokens and failed log-ins (pure)."""

import hashlib
import hmac
import re
import unicodedata
from datetime import timedelta
from ipaddress import IPv6Address, ip_address, ip_network

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")
MIN_PASSWORD = 12
MAX_PASSWORD = 256
"""Characters; longer ones would be an easy way to make the hash work."""
LINK_LIVES = timedelta(minutes=15)
FREE_BY_NAME = 3
FREE_BY_ADDRESS = 10
"""Failed tries without a delay; an address may be a whole office's."""
MAX_DELAY_S = 900
FORGET_AFTER = timedelta(hours=24)
"""Failures this long ago do not count any more."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}\Z")


def name_problem(name: str) -> str | None:
    """What is wrong with an operator's name, or None."""
    if NAME.match(name):
        return None
    return "A name is 1 to 63 small letters, digits, dots, dashes and underscores, like mira.k."


def password_problem(password: str, name: str) -> str | None:
    """What is wrong with a new password, or None. Length is what counts; no classes of signs."""
    if len(password) < MIN_PASSWORD:
        return f"A password has at least {MIN_PASSWORD} characters; a few plain words will do."
    if len(password) > MAX_PASSWORD:
        return f"A password has at most {MAX_PASSWORD} characters."
    if len(set(password)) < 5 or password.casefold() == name * (len(password) // len(name)):
        return "This password is too easy to guess."
    return None


def same_form(password: str) -> str:
    """``password`` with its letters composed in one way: keyboards differ in it."""
    return unicodedata.normalize("NFC", password)


def token_hash(token: str) -> bytes | None:
    """What is stored of a session's or link's token; None when it cannot be one."""
    return hashlib.sha256(token.encode()).digest() if _TOKEN.match(token) else None


def is_token(given: str, expected: str) -> bool:
    """Is it the machine's token? In constant time; never when none is expected."""
    return bool(expected) and hmac.compare_digest(given.encode(), expected.encode())


def delay_s(failures: int, *, free: int) -> int:
    """How long the next try must wait after so many failed ones: doubling, to a bound."""
    over = failures - free
    return 0 if over < 0 else min(2 ** min(over, 20), MAX_DELAY_S)


def name_key(name: str) -> str:
    """Under what failures of a typed name count. Hashed: people type passwords there."""
    return "name:" + hashlib.sha256(name.strip().casefold().encode()).hexdigest()


def address_key(address: str) -> str:
    """Under what failures of an address count; of IPv6 the /64, which one customer has."""
    try:
        ip = ip_address(address)
    except ValueError:
        return "address:unknown"
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return f"address:{ip_network((int(ip), 64), strict=False)}"
        ip = ip.ipv4_mapped
    return f"address:{ip}"


def way_back(path: str) -> str:
    """Where to go after the log-in: ``path`` when it is one of ours, else the first page."""
    plain = path.isascii() and path.isprintable() and "\\" not in path and len(path) <= 512
    ours = path.startswith("/") and not path.startswith(("//", "/login", "/logout"))
    return path if plain and ours else "/"
