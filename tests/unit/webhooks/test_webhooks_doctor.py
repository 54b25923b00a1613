"""What webhooks' doctor makes of its settings, of the public addresses and of the clock."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime.settings import load
from webhooks import doctor, doctor_public, doctor_twilio
from webhooks.settings import Settings

TOKEN = "0123456789abcdef" * 2
ASSISTANTS = Path(__file__).parents[3] / "assistants"


def settings(**environ: str) -> Settings:
    return load(
        Settings,
        {
            "PUBLIC_URL": "https://voice.example.com",
            "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": "+15550100002",
            "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
            "OUTBOUND_PREFIXES": "+1555",
            "ASSISTANTS_DIR": str(ASSISTANTS),
        }
        | environ,
    )


def test_settings_that_are_well_formed_and_meant_so() -> None:
    assert doctor.shape(settings()) == []


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"TWILIO_AUTH_TOKEN": "an-api-key-secret"}, "TWILIO_AUTH_TOKEN is not 32 hex digits"),
        ({"TWILIO_PHONE_NUMBER": ""}, "TWILIO_PHONE_NUMBER is not set"),
        ({"OUTBOUND_PREFIXES": ""}, "OUTBOUND_PREFIXES is empty"),
    ],
)
def test_settings_that_may_be_meant_otherwise(environ: dict[str, str], says: str) -> None:
    (found,) = doctor.shape(settings(**environ))
    assert found.verdict == "note"
    assert says in found.says
    assert "an-api-key-secret" not in found.says + found.remedy


def test_which_profile_answers_and_whom_it_may_dial(tmp_path: Path) -> None:
    said = [(f.verdict, f.says) for f in doctor.answering(settings())]
    assert ("ok", "+15550100002 is answered by on-your-plate.") in said
    assert {verdict for verdict, _ in said} == {"ok"}
    said = [(f.verdict, f.says) for f in doctor.answering(settings(OUTBOUND_PREFIXES="+49"))]
    notes = [says for verdict, says in said if verdict == "note"]
    assert notes
    assert all("is never dialled" in says for says in notes)
    (tmp_path / "one.toml").write_text(
        'name = "one"\nnumbers = ["+15550100077"]\ninstructions = "x"\ngreeting = "x"\n'
    )
    last = doctor.answering(settings(ASSISTANTS_DIR=str(tmp_path)))[-1]
    assert (last.verdict, last.says) == ("wrong", "No profile answers +15550100002.")


BASE = "https://voice.example.com"


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, "<Response/>", "takes unsigned requests (200)"),
        (502, "bad gateway", "nothing is behind it"),
        (404, "not found", "answers 404"),
        (403, "forbidden by a firewall", "answers 403, where webhooks"),
    ],
)
def test_who_answers_an_unsigned_webhook_otherwise(status: int, body: str, says: str) -> None:
    found = doctor_public.refused(BASE, status, body)
    assert found is not None
    assert found.verdict == "wrong"
    assert says in found.says
    assert found.remedy


def test_webhooks_refuses_what_is_not_signed() -> None:
    assert doctor_public.refused(BASE, 403, "wrong signature\n") is None


URL = "wss://voice.example.com/twilio/media"


@pytest.mark.parametrize(
    ("unsigned", "signed", "verdict", "says"),
    [
        (403, 101, "ok", "for Twilio alone"),
        (403, 403, "wrong", "signed with this TWILIO_AUTH_TOKEN"),
        (403, 503, "wrong", "no slot is free"),
        (101, 101, "wrong", "takes unsigned sockets"),
        (404, 404, "wrong", "with 404"),
        (200, 200, "wrong", "with 200"),
        (502, 502, "wrong", "with 502"),
    ],
)
def test_who_answers_a_media_upgrade(unsigned: int, signed: int, verdict: str, says: str) -> None:
    found = doctor_public.upgraded(URL, unsigned, signed)
    assert found.verdict == verdict
    assert says in found.says


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Sun, 22 Nov 2026 12:00:00 GMT", 0.0),
        ("Sun, 22 Nov 2026 11:59:59 GMT", 0.0),
        ("Sun, 22 Nov 2026 12:00:31 GMT", 30.0),
        ("Sun, 22 Nov 2026 11:50:00 GMT", 599.0),
        ("yesterday", 0.0),
    ],
)
def test_the_clock_against_an_http_date(date: str, seconds: float) -> None:
    """A Date has whole seconds, so one second is not held against us."""
    assert doctor_twilio.skew(datetime(2026, 11, 22, 12, tzinfo=UTC), date) == seconds
