"""The signature check against vectors made elsewhere, and what a form must be."""

import pytest

from runtime.settings import Secret
from testbed.twilio.signature import sign_post
from webhooks.signature import FIELD_LIMIT, Gate, Refused, parsed

BASE = "https://voice.example.com"
TOKEN = "0123456789abcdef0123456789abcdef"
ACCOUNT = "AC00000000000000000000000000000001"
BODY = (
    b"AccountSid=AC00000000000000000000000000000001&CallSid=CA00000000000000000000000000000001"
    b"&CallStatus=ringing&Direction=inbound&From=%2B15550100001&To=%2B15550100002&FromZip="
)
FORM = "application/x-www-form-urlencoded; charset=UTF-8"
GOOD = "qgeBAMrRM6LuhMZmiNS0PDUNsRY="


def gate(*tokens: str, base: str = BASE) -> Gate:
    return Gate(base, [Secret(token) for token in tokens or (TOKEN,)], ACCOUNT)


def test_the_documented_vector_is_accepted() -> None:
    assert gate().signed(b"/twilio/voice", b"", parsed(FORM, BODY), GOOD)


@pytest.mark.parametrize(
    "signature",
    [
        "R1X/rnzN1pnka9O4YVcXqI/sswA=",  # made of the form without its blank field
        "NejYtKVavGnKgwHOldDD317qSiBNp/ftBWuWkk7Jw5M=",  # HMAC-SHA256 with the auth token
        GOOD.swapcase(),
        GOOD + "=",
        "",
        "é",
    ],
)
def test_other_signatures_are_refused(signature: str) -> None:
    assert not gate().signed(b"/twilio/voice", b"", parsed(FORM, BODY), signature)


def test_the_path_and_the_query_count_byte_for_byte() -> None:
    fields = parsed(FORM, BODY)
    signature = sign_post(f"{BASE}/twilio/voice?a=%7e&b", fields.multi_items(), TOKEN)
    assert gate().signed(b"/twilio/voice", b"a=%7e&b", fields, signature)
    assert not gate().signed(b"/twilio/voice", b"a=~&b", fields, signature)
    assert not gate().signed(b"/twilio/voice", b"a=%7E&b", fields, signature)
    assert not gate().signed(b"/twilio/status", b"a=%7e&b", fields, signature)
    assert not gate(base="https://other.example.com").signed(
        b"/twilio/voice", b"a=%7e&b", fields, signature
    )


def test_every_configured_token_is_tried() -> None:
    new = "f" * 32
    fields = parsed(FORM, BODY)
    assert gate(new, TOKEN).signed(b"/twilio/voice", b"", fields, GOOD)
    assert gate(TOKEN, new).signed(b"/twilio/voice", b"", fields, GOOD)
    assert not gate(new).signed(b"/twilio/voice", b"", fields, GOOD)


def test_a_name_given_twice_counts_with_each_distinct_value() -> None:
    fields = parsed(FORM, b"b=2&a=&b=1&b=2")
    assert fields.multi_items() == [("b", "2"), ("a", ""), ("b", "1"), ("b", "2")]
    signature = sign_post(f"{BASE}/twilio/voice", fields.multi_items(), TOKEN)
    assert gate().signed(b"/twilio/voice", b"", fields, signature)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", BODY),
        ("", BODY),
        ("multipart/form-data; boundary=x", BODY),
        (FORM, b"CallSid=%ff%fe"),
        (FORM, "CallSid=é".encode()),
        (FORM, b"\x00\xff"),
        (FORM, b"&".join(b"a=%d" % n for n in range(FIELD_LIMIT + 1))),
    ],
)
def test_what_is_no_form_is_malformed(kind: str, body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        parsed(kind, body)
    assert caught.value.status == 400


def test_blank_fields_and_text_beyond_ascii_are_kept() -> None:
    fields = parsed(FORM, b"FromCity=Z%C3%BCrich&FromZip=&CalledZip")
    assert fields.multi_items() == [("FromCity", "Zürich"), ("FromZip", ""), ("CalledZip", "")]
