"""Band-limited change of a sample rate, block by block, in plain Python (pure).

Called by phone_audio. A polyphase FIR filter (windowed sinc, Kaiser): the band that a telephone
carries passes, everything that would fold back into it is 50 dB down.
"""

import functools
import math
import operator
from collections.abc import Iterable

STOP_HZ = 4_000
"""Half of the telephone's rate: from here on nothing may pass."""
TRANSITION_HZ = 730
"""Between what passes and STOP_HZ: the telephone band itself ends at 3.4 kHz."""
HALF_WIDTH_S = 0.002
"""Half of the filter's length, and so how far the output lags: 2 ms."""
_BETA = 4.55  # Kaiser: 50 dB at this length and transition


class Resampler:
    """From ``rate_in`` down to ``rate_out`` Hz; how the input is cut into blocks does not
    matter.
    """

    def __init__(self, rate_in: int, rate_out: int) -> None:
        common = math.gcd(rate_in, rate_out)
        self._up, self._down = rate_out // common, rate_in // common
        self._half = round(rate_in * HALF_WIDTH_S)
        self._phases = taps(rate_in, self._up, self._half)
        self._waiting = [0.0] * (self._half - 1)  # what lies before the first sample is silence
        self._phase = 0
        self._skip = 0

    def feed(self, samples: Iterable[int]) -> list[int]:
        """The output that can be told from the input so far; it lags 2 ms behind."""
        waiting, phases = self._waiting, self._phases
        waiting.extend(map(float, samples))
        width = 2 * self._half
        last = len(waiting) - width
        start, phase = self._skip, self._phase
        made: list[int] = []
        while start <= last:
            value = round(sum(map(operator.mul, phases[phase], waiting[start : start + width])))
            made.append(min(max(value, -32_768), 32_767))
            steps, phase = divmod(phase + self._down, self._up)
            start += steps
        used = min(start, len(waiting))
        del waiting[:used]
        self._skip, self._phase = start - used, phase
        return made

    def finish(self) -> list[int]:
        """The rest, as if silence followed. One output sample in all for each ``rate_in /
        rate_out`` of input, rounded up.
        """
        return self.feed([0] * self._half)


@functools.cache
def taps(rate_in: int, up: int, half: int) -> tuple[tuple[float, ...], ...]:
    """The filter's ``2 * half`` coefficients for each of the ``up`` positions that an output
    sample can have between two of the input; each row sums up to 1.
    """
    cutoff = (STOP_HZ - TRANSITION_HZ / 2) / rate_in
    rows: list[tuple[float, ...]] = []
    for phase in range(up):
        distances = [phase / up + half - 1 - k for k in range(2 * half)]
        row = [2 * cutoff * _sinc(2 * cutoff * d) * _kaiser(d / half) for d in distances]
        total = sum(row)
        rows.append(tuple(value / total for value in row))
    return tuple(rows)


def _sinc(x: float) -> float:
    return 1.0 if x == 0 else math.sin(math.pi * x) / (math.pi * x)


def _kaiser(x: float) -> float:
    """The window at ``x`` in -1..1, not scaled; 0 outside."""
    inside = 1 - x * x
    return _bessel_i0(_BETA * math.sqrt(inside)) if inside > 0 else 0.0


def _bessel_i0(x: float) -> float:
    """The modified Bessel function of order 0, by its power series (exact enough for x up to 6)."""
    term = total = 1.0
    for k in range(1, 20):
        term *= (x / (2 * k)) ** 2
        total += term
    return total
