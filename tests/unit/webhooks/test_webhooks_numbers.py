"""Who is who, what may be dialled, what number is shown."""

import re

import pytest

from webhooks.numbers import Parties, caller_id, masked, operator_number, parties, refusal

PERSON, OURS = "+15550100003", "+15550100002"


@pytest.mark.parametrize("direction", ["outbound-api", "outbound-dial"])
def test_on_a_call_that_we_placed_the_person_is_the_caller(direction: str) -> None:
    form = {"From": OURS, "To": PERSON, "Direction": direction}
    assert parties(Form(form)) == Parties(PERSON, OURS, "outbound")


def test_on_a_call_to_us_too() -> None:
    form = {"From": PERSON, "To": OURS, "Direction": "inbound"}
    assert parties(Form(form)) == Parties(PERSON, OURS, "inbound")
    assert parties(Form({})) == Parties("", "", "inbound")
    assert len(parties(Form({"From": "+1" + "5" * 9_999})).caller) < 100


@pytest.mark.parametrize(
    ("to", "prefixes", "allowed"),
    [
        ("+4930123456", ["+49"], True),
        ("+15550100003", ["+49", "+1555"], True),
        ("+15560100003", ["+49", "+1555"], False),
        ("+4930123456", [], False),
        ("004930123456", ["+49", "0"], False),
        ("+4930123456\n", ["+49"], False),
        ("+49 30 123456", ["+49"], False),
        ("+49", ["+49"], False),
        ("+4930123456,+1900", ["+49"], False),
        ("sip:+4930@example.com", ["+49"], False),
        ("anonymous", ["a"], False),
        ("", [""], False),
        ("+٤٩٣٠١٢٣٤٥", ["+"], False),
    ],
)
def test_which_numbers_may_be_dialled(to: str, prefixes: list[str], allowed: bool) -> None:
    reason = refusal(to, prefixes)
    assert (reason is None) is allowed
    assert reason is None or reason.endswith(".")


@pytest.mark.parametrize(
    ("who", "shown"),
    [
        (Parties(PERSON, OURS, "inbound"), PERSON),
        (Parties(PERSON, OURS, "outbound"), OURS),
        (Parties("anonymous", OURS, "inbound"), OURS),
        (Parties("sip:a@b", OURS, "inbound"), OURS),
        (Parties("anonymous", "sip:us@b", "inbound"), ""),
    ],
)
def test_which_number_a_transfer_shows(who: Parties, shown: str) -> None:
    assert caller_id(who) == shown


class Form:
    """Fields as a signed form gives them."""

    def __init__(self, fields: dict[str, str]) -> None:
        self._fields = fields

    def get(self, name: str) -> str:
        return self._fields.get(name, "")


def test_an_operator_calls_as_a_fictional_number_that_stays_theirs() -> None:
    numbers = {operator_number(f"operator-{n}") for n in range(300)}
    assert len(numbers) > 240, "few share one"
    assert all(re.fullmatch(r"\+15550100[1-9][0-9]{2}", number) for number in numbers)
    assert operator_number("mira") == operator_number("mira")


@pytest.mark.parametrize(
    ("number", "shown"),
    [("+15550100123", "+15****0123"), ("+4912345", "****"), ("", "****"), ("12345678", "****")],
)
def test_a_masked_number_is_known_again_and_cannot_be_dialled(number: str, shown: str) -> None:
    assert masked(number) == shown
