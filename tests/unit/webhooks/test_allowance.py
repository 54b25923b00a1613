"""Which humans may be dialled: by prefix, by the shared count, by our own while that is away."""

import asyncio
from typing import Any

import pytest

from runtime.errors import NatsAway
from runtime.settings import load
from webhooks import allowance
from webhooks.allowance import Allowance
from webhooks.settings import Settings

HUMAN, FOREIGN = "+15550100009", "+4930123456"
ENVIRON = {
    "PUBLIC_URL": "https://voice.example.com",
    "TWILIO_ACCOUNT_SID": "AC" + "a" * 32,
    "TWILIO_AUTH_TOKEN": "t" * 32,
    "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
    "OUTBOUND_PREFIXES": "+1555",
    "OUTBOUND_PER_MINUTE": "2",
}


class Wishes:
    """The shared count: how many may be taken, or that it is away."""

    def __init__(self) -> None:
        self.away: type[Exception] | None = None
        self.asked = 0

    async def slot(self, per_minute: int) -> bool:
        self.asked += 1
        if self.away is not None:
            raise self.away
        return self.asked <= per_minute


@pytest.fixture
def wishes() -> Wishes:
    return Wishes()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The monotonic clock in ms, in its only entry."""
    held = [5_000]
    monkeypatch.setattr(allowance.clock, "monotonic_ms", lambda: held[0])
    return held


def allowed(wishes: Any, **environ: str) -> Allowance:
    return Allowance(load(Settings, ENVIRON | environ), wishes)


def take(found: Allowance, number: str = HUMAN) -> str | None:
    return asyncio.run(found.take(number))


def test_the_shared_count_decides(wishes: Wishes) -> None:
    found = allowed(wishes)
    assert [take(found) for _ in range(3)] == [None, None, "too_many"]


@pytest.mark.parametrize(("prefixes", "number"), [("", HUMAN), ("+1555", FOREIGN)])
def test_what_is_not_allowed_is_not_counted(wishes: Wishes, prefixes: str, number: str) -> None:
    found = allowed(wishes, OUTBOUND_PREFIXES=prefixes)
    assert take(found, number) == found.take_here(number) == "not_allowed"
    assert wishes.asked == 0
    assert "OUTBOUND_PREFIXES" in (found.refusal(number) or "")


@pytest.mark.parametrize("away", [NatsAway, TimeoutError])
def test_while_the_count_is_away_we_count_for_ourselves(
    wishes: Wishes, now: list[int], away: type[Exception]
) -> None:
    wishes.away = away
    found = allowed(wishes)
    assert take(found) is None
    now[0] += 59_000
    assert [take(found), take(found)] == [None, "too_many"]
    now[0] += 1_000
    assert [take(found), take(found)] == [None, "too_many"], "a minute after the first"


def test_what_was_counted_is_still_bound_by_its_prefix(wishes: Wishes) -> None:
    found = allowed(wishes, OUTBOUND_PER_MINUTE="0")
    assert asyncio.run(found.take(HUMAN, counted=True)) is None
    assert asyncio.run(found.take(FOREIGN, counted=True)) == "not_allowed"
    assert wishes.asked == 0


def test_zero_a_minute_is_nobody(wishes: Wishes, now: list[int]) -> None:
    found = allowed(wishes, OUTBOUND_PER_MINUTE="0")
    assert found.take_here(HUMAN) == take(found) == "too_many"
