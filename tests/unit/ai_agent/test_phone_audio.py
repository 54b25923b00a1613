"""Resampling and mu-law: what passes, what must not, and that pieces make no difference."""

import itertools
import math
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ai_agent.speaker import mulaw as ours
from ai_agent.speaker.phone_audio import PHONE_RATE, PhoneAudio
from ai_agent.speaker.resampler import Resampler
from testbed.voice.g711 import MULAW_TO_LINEAR, mulaw_code

RATES = (24_000, 22_050)
AMPLITUDE = 16_000


def tone(hz: float, rate: int, seconds: float = 0.12) -> list[int]:
    step = 2 * math.pi * hz / rate
    return [round(AMPLITUDE * math.sin(step * n)) for n in range(round(rate * seconds))]


def resampled(samples: list[int], rate: int) -> list[int]:
    resampler = Resampler(rate, PHONE_RATE)
    return [*resampler.feed(samples), *resampler.finish()]


def level_db(samples: list[int]) -> float:
    """Of the middle, where the filter has settled, against the tone that went in."""
    middle = samples[100:-100]
    rms = math.sqrt(sum(s * s for s in middle) / len(middle))
    return 20 * math.log10(max(rms, 1e-9) / (AMPLITUDE / math.sqrt(2)))


def share_at(hz: float, samples: list[int]) -> float:
    """The part of the energy that lies at one frequency, 0 to 1."""
    middle = samples[100:-100]
    step = 2 * math.pi * hz / PHONE_RATE
    real = sum(s * math.cos(step * n) for n, s in enumerate(middle))
    imaginary = sum(s * math.sin(step * n) for n, s in enumerate(middle))
    energy = sum(s * s for s in middle)
    return 2 * (real**2 + imaginary**2) / (len(middle) * energy)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hz", [200, 1_000, 2_500, 3_200])
def test_speech_passes_as_it_is(hz: int, rate: int) -> None:
    out = resampled(tone(hz, rate), rate)
    assert level_db(out) == pytest.approx(0, abs=0.3)
    assert share_at(hz, out) > 0.99


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("hz", [4_150, 4_500, 5_000, 6_000, 7_000, 8_700, 10_500])
def test_what_a_telephone_cannot_carry_does_not_fold_back(hz: int, rate: int) -> None:
    # Taken every third sample without a filter, 6 kHz would be heard as 2 kHz, as loud as it was.
    assert level_db(resampled(tone(hz, rate), rate)) < -45


@pytest.mark.parametrize("rate", RATES)
def test_time_is_kept(rate: int) -> None:
    """An impulse stands where it stood: pieces of different voices line up."""
    samples = [0] * (rate // 5)
    samples[rate // 10] = 30_000
    out = resampled(samples, rate)
    assert len(out) == PHONE_RATE // 5
    assert max(range(len(out)), key=lambda n: abs(out[n])) == PHONE_RATE // 10


@pytest.mark.parametrize("rate", RATES)
@given(count=st.integers(0, 700))
def test_the_length_follows_the_input(rate: int, count: int) -> None:
    assert len(resampled([100] * count, rate)) == math.ceil(count * PHONE_RATE / rate)


@pytest.mark.parametrize("rate", RATES)
def test_overshoot_is_clipped_not_wrapped(rate: int) -> None:
    square = ([32_767] * 60 + [-32_768] * 60) * 20
    out = resampled(square, rate)
    assert max(out) == 32_767
    assert min(out) == -32_768


@st.composite
def cut_pcm(draw: st.DrawFn) -> list[bytes]:
    pcm = draw(st.binary(max_size=1_500))
    cuts = sorted(draw(st.lists(st.integers(0, len(pcm)), max_size=8)))
    edges = [0, *cuts, len(pcm)]
    return [pcm[a:b] for a, b in itertools.pairwise(edges)]


@pytest.mark.parametrize("rate", RATES)
@given(pieces=cut_pcm())
def test_where_pieces_are_cut_does_not_matter(rate: int, pieces: list[bytes]) -> None:
    """Neither between samples nor in the middle of one."""
    whole, cut = PhoneAudio(rate), PhoneAudio(rate)
    expected = whole.feed(b"".join(pieces)) + whole.finish()
    assert b"".join([*map(cut.feed, pieces), cut.finish()]) == expected


def test_audio_comes_before_the_end() -> None:
    audio = PhoneAudio(24_000)
    assert len(audio.feed(bytes(4_800))) >= 95 * 8  # of 100 ms, all but the filter's 2 ms


def test_every_sample_has_the_code_of_g711() -> None:
    every = range(-32_768, 32_768)
    assert ours.encode(every) == bytes(map(mulaw_code, every))


def test_a_tone_survives_the_whole_way() -> None:
    audio = PhoneAudio(24_000)
    heard = audio.feed(array("h", tone(1_000, 24_000)).tobytes()) + audio.finish()
    linear = [MULAW_TO_LINEAR[code] for code in heard]
    assert share_at(1_000, linear) > 0.99
    assert level_db(linear) == pytest.approx(0, abs=0.3)
