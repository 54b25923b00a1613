"""admission and settings: signatures as Twilio makes them, tokens, and what settings become."""

import pytest

from protocol.errors import StreamTokenError
from protocol.ids import CallId, Leg
from protocol.stream_token import StreamToken, mint
from runtime.errors import SettingsError
from runtime.settings import Secret, load
from stream_ingress import local_sentences
from stream_ingress.admission import Admission
from stream_ingress.settings import Settings, ingress_name

CALL = CallId("CA00000000000000000000000000000001")
TOKEN = "0123456789abcdef0123456789abcdef"
ENVIRON = {
    "PUBLIC_URL": "https://voice.example.com/some/base",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "first-token,second-token",
    "STREAM_TOKEN_SECRET": "new,old",
}


def admission(*tokens: str) -> Admission:
    return Admission(
        "wss://voice.example.com",
        [Secret(token) for token in tokens],
        [Secret("new"), Secret("old")],
    )


def test_the_recorded_signature_of_an_upgrade() -> None:
    # Made with Twilio's SDK for the wss URL without parameters (reference, section 2.1).
    recorded = "3Wv0T80qzAY3OCARW9y1gnUJZtE="
    assert admission(TOKEN).signed(recorded)
    assert admission("another", TOKEN).signed(recorded)
    assert not admission("another").signed(recorded)
    assert not admission(TOKEN).signed("")
    assert not admission(TOKEN).signed(recorded.swapcase())


def token_for(call: CallId = CALL, **changes: object) -> StreamToken:
    facts: dict[str, object] = {
        "call": call,
        "previous_leg": Leg(0),
        "caller": "+15550100001",
        "called": "+15550100002",
        "channel": "phone",
        "expires": 1000,
    }
    return StreamToken(**{**facts, **changes})


@pytest.mark.parametrize("secret", ["new", "old"])
def test_a_good_token(secret: str) -> None:
    token = token_for(line_ms=77)
    assert admission(TOKEN).token(CALL, {"token": mint(token, secret)}, 999) == token


@pytest.mark.parametrize(
    ("parameters", "phrase"),
    [
        ({}, "no token"),
        ({"token": ""}, "no token"),
        ({"token": "x"}, "malformed token"),
        ({"token": mint(token_for(), "foreign")}, "token with a foreign signature"),
        ({"token": mint(token_for(expires=999), "new")}, "expired token"),
        ({"token": mint(token_for(CallId("CA" + "f" * 32)), "new")}, "token of another call"),
        ({"token": mint(token_for(channel="browser"), "new")}, "token of another channel"),
    ],
)
def test_bad_tokens(parameters: dict[str, str], phrase: str) -> None:
    with pytest.raises(StreamTokenError, match=f"^{phrase}$"):
        admission(TOKEN).token(CALL, parameters, 999)


def test_settings() -> None:
    settings = load(Settings, ENVIRON)
    assert settings.public_stream_url == ""
    assert settings.ingress_port == 8082
    assert ingress_name(load(Settings, {**ENVIRON, "INGRESS_NAME": "in-1"})) == "in-1"
    assert ingress_name(settings) == ingress_name(settings) != ""
    assert "first-token" not in repr(settings)


def test_required_settings_are_named() -> None:
    with pytest.raises(SettingsError) as raised:
        load(Settings, {"INGRESS_NAME": "a.b", "INGRESS_PORT": "x"})
    said = " ".join(raised.value.problems)
    for variable in (*ENVIRON, "INGRESS_NAME", "INGRESS_PORT"):
        assert variable in said


def test_the_sentences_are_speech_of_some_seconds() -> None:
    for audio in local_sentences.load().values():
        assert 1.5 < len(audio) / 8000 < 8
        assert len(set(audio)) > 50
