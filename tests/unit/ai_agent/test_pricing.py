"""Money: hand-computed costs, and when a budget is met."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_agent.pricing import Budget, cost_usd, transcribed_s, transcription_usd
from protocol.events import Tokens
from runtime.assistant import Limits, Prices

REALTIME = Prices(
    text_in=4,
    cached_text_in=0.4,
    audio_in=32,
    cached_audio_in=0.4,
    text_out=24,
    audio_out=64,
    transcription_minute=0.0045,
)


@pytest.mark.parametrize(
    ("tokens", "usd"),
    [
        (Tokens(), 0.0),
        (Tokens(text_in=1_000_000), 4.0),
        (Tokens(audio_in=1_000_000), 32.0),
        (Tokens(text_out=1_000_000), 24.0),
        (Tokens(audio_out=1_000_000), 64.0),
        (Tokens(text_in=1_000_000, cached_text_in=1_000_000), 0.4),
        # 119 text of which 64 cached, 13 audio; 30 text and 91 audio out:
        # 55*4 + 64*0.4 + 13*32 + 30*24 + 91*64 = 220 + 25.6 + 416 + 720 + 5824 = 7205.6
        (Tokens(119, 13, 64, 0, 30, 91), 0.0072056),
        # 600 audio of which 500 cached: 100*32 + 500*0.4 = 3400
        (Tokens(audio_in=600, cached_audio_in=500), 0.0034),
        # more cached than there was: 10*0.4, never below
        (Tokens(text_in=10, cached_text_in=40), 0.000004),
    ],
)
def test_what_a_response_costs(tokens, usd):
    assert cost_usd(tokens, REALTIME) == usd


def test_what_a_transcription_costs():
    assert transcription_usd(60, REALTIME) == 0.0045
    assert transcription_usd(4, REALTIME) == 0.0003
    assert transcription_usd(-1, REALTIME) == 0.0


def test_a_transcription_told_in_tokens_is_priced_by_the_minute_too():
    assert transcribed_s(4.5, Tokens(audio_in=7)) == 4.5
    assert transcribed_s(0.0, Tokens(audio_in=45)) == 4.5
    assert transcription_usd(transcribed_s(0.0, Tokens(audio_in=600)), REALTIME) == 0.0045


def test_unknown_prices_give_no_cost_rather_than_a_free_call():
    assert cost_usd(Tokens(text_in=5), Prices(transcription_minute=1)) is None
    assert transcription_usd(60, Prices(text_in=4)) is None


@given(*[st.integers(0, 10**7)] * 6)
def test_a_cost_is_never_negative_and_caching_never_makes_it_dearer(a, b, c, d, e, f):
    cached = cost_usd(Tokens(a, b, c, d, e, f), REALTIME)
    plain = cost_usd(Tokens(a, b, 0, 0, e, f), REALTIME)
    assert cached is not None
    assert plain is not None
    assert 0 <= cached <= plain


def test_the_budget_of_a_call():
    budget = Budget(Limits(call_usd=0.3))
    budget.spent(0.1)
    budget.spent(None)
    budget.spent(0.1)
    assert (budget.reached(), budget.call_usd) == (None, 0.2)
    budget.spent(0.1)
    assert budget.reached() == "call_usd", "0.1 three times is 0.3"


def test_the_budget_of_a_day_is_one_number_for_all():
    budget = Budget(Limits(day_usd=10), day_usd=9.5)
    assert budget.reached() is None
    budget.spent(0.4)
    assert budget.reached() is None
    budget.day(10.2)
    assert budget.reached() == "day_usd"
    budget.day(0.0)
    assert budget.reached() is None, "midnight"


def test_a_call_taken_over_has_spent_what_it_had():
    assert Budget(Limits(call_usd=1), call_usd=1.0).reached() == "call_usd"


def test_zero_is_no_limit():
    budget = Budget(Limits())
    budget.spent(10_000)
    assert budget.reached() is None
