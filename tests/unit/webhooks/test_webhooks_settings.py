"""Settings that Twilio or the stream token could not use are refused with one sentence each."""

import pytest

from runtime.errors import SettingsError
from runtime.settings import load
from webhooks.settings import Settings

GOOD = {
    "PUBLIC_URL": "https://voice.example.com",
    "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
    "TWILIO_AUTH_TOKEN": "a" * 32,
    "STREAM_TOKEN_SECRET": "s" * 16,
}


def loaded(**changed: str) -> Settings:
    return load(Settings, GOOD | changed)


def test_the_defaults_are_the_documented_ones() -> None:
    settings = loaded()
    assert (settings.webhooks_host, settings.webhooks_port) == ("0.0.0.0", 8081)
    assert settings.webhooks_admin_port == 9081
    assert settings.outbound_prefixes == (), "none may be called until it is set"


@pytest.mark.parametrize(
    ("public", "stream", "base", "stream_base"),
    [
        ("https://v.example.com", "", "https://v.example.com", "wss://v.example.com"),
        ("https://v.example.com/", "", "https://v.example.com", "wss://v.example.com"),
        ("https://v.example.com:8443/a/", "", "https://v.example.com:8443/a", "wss://v.example.com"),
        ("http://127.0.0.1:8081", "", "http://127.0.0.1:8081", "ws://127.0.0.1:8081"),
        ("http://[::1]:8081", "", "http://[::1]:8081", "ws://[::1]:8081"),
        ("http://localhost", "ws://127.0.0.1:8082/", "http://localhost", "ws://127.0.0.1:8082"),
        ("https://v.example.com", "wss://s.example.com", "https://v.example.com", "wss://s.example.com"),
    ],
)  # fmt: skip
def test_addresses(public: str, stream: str, base: str, stream_base: str) -> None:
    settings = loaded(PUBLIC_URL=public, PUBLIC_STREAM_URL=stream)
    assert (settings.public_base, settings.stream_base) == (base, stream_base)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PUBLIC_URL", "http://voice.example.com"),
        ("PUBLIC_URL", "http://127.0.0.1.example.com"),
        ("PUBLIC_URL", "voice.example.com"),
        ("PUBLIC_URL", "https://"),
        ("PUBLIC_URL", "https://voice.example.com:port"),
        ("PUBLIC_URL", "https://user:pw@voice.example.com"),
        ("PUBLIC_URL", "https://voice.example.com?a=b"),
        ("PUBLIC_URL", "https://voice.example.com#rc=2"),
        ("PUBLIC_URL", "https://my_voice.example.com"),
        ("PUBLIC_STREAM_URL", "ws://voice.example.com"),
        ("PUBLIC_STREAM_URL", "https://voice.example.com"),
        ("PUBLIC_STREAM_URL", "wss://voice.example.com/?token=1"),
        ("TWILIO_ACCOUNT_SID", "AC123"),
        ("TWILIO_AUTH_TOKEN", ","),
        ("STREAM_TOKEN_SECRET", "fifteen-letters"),
        ("STREAM_TOKEN_SECRET", "s" * 16 + ",short"),
        ("STREAM_TOKEN_SECRET", ","),
        ("TWILIO_PHONE_NUMBER", "5550100002"),
        ("TWILIO_API_URL", "127.0.0.1:8080"),
        ("OUTBOUND_PREFIXES", "+49,1"),
        ("OUTBOUND_PREFIXES", "+"),
        ("OUTBOUND_PER_MINUTE", "-1"),
        ("OUTBOUND_CALL_S", "0"),
    ],
)
def test_a_wrong_value_is_one_sentence_about_its_variable(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(**{variable: value})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(variable)


@pytest.mark.parametrize("variable", list(GOOD))
def test_what_is_required_is_named(variable: str) -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(**{variable: ""})
    assert [p.split()[0] for p in caught.value.problems] == [variable]


def test_several_wrong_values_are_all_named_and_no_secret_is_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        loaded(PUBLIC_URL="ftp://x", STREAM_TOKEN_SECRET="hunter2", TWILIO_ACCOUNT_SID="x")
    assert len(caught.value.problems) == 3
    assert "hunter2" not in str(caught.value)


def test_lists_of_secrets_stay_masked() -> None:
    settings = loaded(TWILIO_AUTH_TOKEN="new-token, old-token")
    assert [t.reveal() for t in settings.twilio_auth_token] == ["new-token", "old-token"]
    assert "token'" not in repr(settings)
