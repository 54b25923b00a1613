"""Signatures against vectors made with Twilio's own SDK."""

from twilio.request_validator import RequestValidator

from testbed.twilio.signature import sign_get, sign_post

TOKEN = "0123456789abcdef0123456789abcdef"
URL = "https://voice.example.com/twilio/voice"
FORM = [
    ("From", "+15550100001"),
    ("AccountSid", "AC00000000000000000000000000000001"),
    ("CallSid", "CA00000000000000000000000000000001"),
    ("CallStatus", "ringing"),
    ("Direction", "inbound"),
    ("To", "+15550100002"),
    ("FromZip", ""),
]


def test_form_in_any_order_gives_the_vector() -> None:
    assert sign_post(URL, FORM, TOKEN) == "qgeBAMrRM6LuhMZmiNS0PDUNsRY="
    assert sign_post(URL, FORM[::-1], TOKEN) == "qgeBAMrRM6LuhMZmiNS0PDUNsRY="


def test_blank_value_counts() -> None:
    without = [pair for pair in FORM if pair[1]]
    assert sign_post(URL, without, TOKEN) == "R1X/rnzN1pnka9O4YVcXqI/sswA="


def test_upgrade_gives_the_vector() -> None:
    url = "wss://voice.example.com/twilio/media"
    assert sign_get(url, TOKEN) == "3Wv0T80qzAY3OCARW9y1gnUJZtE="


def test_sdk_accepts_it_and_notices_any_change() -> None:
    validator = RequestValidator(TOKEN)
    signature = sign_post(URL, FORM, TOKEN)
    assert validator.validate(URL, dict(FORM), signature)
    assert not validator.validate(URL + "/", dict(FORM), signature)
    assert not validator.validate(URL, dict(FORM) | {"From": "+15550100009"}, signature)


def test_get_signs_the_query_as_it_stands() -> None:
    url = URL + "?b=2&a=%20x"
    assert RequestValidator(TOKEN).validate(url, {}, sign_get(url, TOKEN))
    assert sign_get(url, TOKEN) != sign_get(URL + "?a=%20x&b=2", TOKEN)
