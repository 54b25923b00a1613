"""Text from outside, made fit for one line of a table. Pure; used by the rules of both nouns."""

import unicodedata


class Invalid(Exception):
    """A value breaks a rule. ``field`` names it, ``message`` says what is expected, in words for
    a person; it never holds the value itself.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def tidy(text: str) -> str:
    """``text`` on one line: control characters (PostgreSQL takes no NUL), lone surrogates and
    runs of space become one space each.
    """
    spaced = "".join(" " if unicodedata.category(c) in ("Cc", "Cs") else c for c in text)
    return " ".join(spaced.split())
