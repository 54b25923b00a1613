"""What a caller's number and time zone may be. Pure; called by callers/directory and the seed."""

from zoneinfo import ZoneInfo

from tool_runner.text import Invalid, tidy

MAX_NUMBER = 128
MAX_ZONE = 64


def number(text: str) -> str:
    """The number as it is stored: E.164, or what the carrier sent in its place (``anonymous``, a
    SIP address). Raises Invalid when it is empty or too long.
    """
    cleaned = tidy(text)
    if not cleaned:
        raise Invalid("number", "the number is empty")
    if len(cleaned) > MAX_NUMBER:
        raise Invalid("number", f"the number is longer than {MAX_NUMBER} characters")
    return cleaned


def zone(name: str) -> ZoneInfo:
    """The time zone of that IANA name. Raises Invalid when there is none."""
    try:
        if not 1 <= len(name) <= MAX_ZONE:
            raise ValueError
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown; a path or NUL; the name of a folder
        raise Invalid("time_zone", "the time zone is no IANA name such as Europe/Berlin") from None
