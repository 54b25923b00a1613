"""What a call costs (PURE): tokens and seconds by the profile's prices, and the budgets of a call
and of a day. Prices are USD a million tokens.
"""

from typing import Literal

from protocol.events import Tokens
from runtime.assistant import Limits, Prices

PER_TOKEN = 1e-6
PLACES = 9
"""Decimals kept: a nano-dollar, so that events hold 0.0042 and not 0.004200000000000001."""
CALLER_TOKENS_A_S = 10
"""OpenAI counts a token for each 100 ms of a caller's speech."""

BudgetLimit = Literal["call_usd", "day_usd"]


def cost_usd(tokens: Tokens, prices: Prices) -> float | None:
    """USD of a response's (or a transcription's) tokens; None when the profile has no token
    prices.

    Cached tokens are a subset of the input ones and priced apart; should more be reported cached
    than there were, the rest is taken as none, never as negative.
    """
    if not any(
        (
            prices.text_in,
            prices.cached_text_in,
            prices.audio_in,
            prices.cached_audio_in,
            prices.text_out,
            prices.audio_out,
        )
    ):
        return None
    cached_text = min(tokens.cached_text_in, tokens.text_in)
    cached_audio = min(tokens.cached_audio_in, tokens.audio_in)
    total = (
        (tokens.text_in - cached_text) * prices.text_in
        + cached_text * prices.cached_text_in
        + (tokens.audio_in - cached_audio) * prices.audio_in
        + cached_audio * prices.cached_audio_in
        + tokens.text_out * prices.text_out
        + tokens.audio_out * prices.audio_out
    )
    return round(total * PER_TOKEN, PLACES)


def transcribed_s(seconds: float, tokens: Tokens) -> float:
    """How long the transcribed audio was: some models report ``seconds``, others only tokens."""
    return seconds or tokens.audio_in / CALLER_TOKENS_A_S


def transcription_usd(seconds: float, prices: Prices) -> float | None:
    """USD of so many transcribed seconds; None when the profile has no price for it."""
    if not prices.transcription_minute:
        return None
    return round(max(0.0, seconds) / 60 * prices.transcription_minute, PLACES)


class Budget:
    """What one call may spend, and what is left of the day's one number for all workers."""

    def __init__(self, limits: Limits, *, call_usd: float = 0.0, day_usd: float = 0.0) -> None:
        self._limits = limits
        self._call_usd = call_usd
        self._day_usd = day_usd

    @property
    def call_usd(self) -> float:
        """Spent by this call so far."""
        return round(self._call_usd, PLACES)

    def spent(self, usd: float | None) -> None:
        """This call spent ``usd`` more (None: unknown). It counts for the day until the day's
        total is told.
        """
        self._call_usd += usd or 0.0
        self._day_usd += usd or 0.0

    def day(self, usd: float) -> None:
        """The day's total as ``callers.spend`` told it, all calls and workers together."""
        self._day_usd = usd

    def reached(self) -> BudgetLimit | None:
        """The limit that is met, if any; 0 is no limit."""
        if 0 < self._limits.call_usd <= round(self._call_usd, PLACES):
            return "call_usd"
        if 0 < self._limits.day_usd <= round(self._day_usd, PLACES):
            return "day_usd"
        return None
