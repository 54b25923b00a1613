"""Numbers as the desk shows them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.masking import mask


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+12125553456", "+12****3456"),
        ("+491721234567", "+49****4567"),
        (" +12125553456 ", "+12****3456"),
        ("+266696687", "****87"),
        ("12345", "****45"),
        ("911", "****"),
        ("", "unknown"),
        ("Anonymous", "anonymous"),
        ("sip:ann@example.com", "sip:****@example.com"),
        ("client:ann", "client:****"),
        ("ann", "****"),
        ("+1 212 555 3456", "****56"),
    ],
)
def test_mask(number: str, shown: str) -> None:
    assert mask(number) == shown


@given(st.from_regex(r"\+[1-9][0-9]{9,14}", fullmatch=True))
def test_a_number_keeps_three_and_four_and_hides_the_rest(number: str) -> None:
    assert mask(number) == f"{number[:3]}****{number[-4:]}"


@given(st.text(max_size=40))
def test_anything_else_shows_at_most_six_of_its_digits(text: str) -> None:
    host = text.rpartition("@")[2] if "@" in text else ""
    shown = mask(text).removesuffix(host) if host else mask(text)
    assert sum(c.isdigit() for c in shown) <= 6
