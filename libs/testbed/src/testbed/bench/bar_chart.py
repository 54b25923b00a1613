"""PURE: lying bars made of parts, one under the other, as SVG."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from testbed.bench import svg

_TOP = 76
_BAR = 24
_STEP = 40
_LABEL_W = 210
_VALUE_W = 150


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: what it is, its parts by series, and why it says nothing (empty when it does)."""

    label: str
    parts: dict[str, float]
    invalid: str = ""

    @property
    def total(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True, slots=True)
class Target:
    """A value that bars should stay below."""

    label: str
    value: float


def bar_chart(
    title: str,
    axis: str,
    series: Sequence[str],
    bars: Sequence[Bar],
    target: Target | None = None,
) -> str:
    """A picture of `bars`; `axis` names the unit. Invalid bars are pale and do not set the scale:
    they end where it ends.
    """
    measured = [bar.total for bar in bars if not bar.invalid] or [bar.total for bar in bars]
    marks = svg.ticks(max([*measured, target.value if target else 0.0], default=0.0))
    left, right = svg.MARGIN + _LABEL_W, svg.WIDTH - svg.MARGIN - _VALUE_W
    bottom = _TOP + _STEP * len(bars)

    def x(value: float) -> float:
        return left + (right - left) * min(value, marks[-1]) / marks[-1]

    body = svg.legend(series, filled=True)
    for mark in marks:
        body.append(svg.rule(x(mark), _TOP - 6, x(mark), bottom))
        body.append(svg.text(x(mark), bottom + 18, f"{mark:g}", anchor="middle"))
    body.append(svg.text((left + right) / 2, bottom + 38, axis, anchor="middle"))
    body.append(svg.rule(left, _TOP - 6, left, bottom, "axis"))
    for row, bar in enumerate(bars):
        body += _bar(bar, series, _TOP + _STEP * row + (_STEP - _BAR) / 2, x)
    if target is not None:
        body.append(svg.rule(x(target.value), _TOP - 6, x(target.value), bottom, "mark"))
        body.append(svg.text(x(target.value) + 4, _TOP - 8, target.label))
    said = "; ".join(_said(bar) for bar in bars)
    return svg.document(title, f"{axis}: {said}.", bottom + 56, body)


def _bar(bar: Bar, series: Sequence[str], y: float, x: Callable[[float], float]) -> list[str]:
    middle = y + _BAR / 2 + 4
    drawn = [svg.text(svg.MARGIN + _LABEL_W - 10, middle, bar.label, "ink", "end")]
    before = 0.0
    for name, value in bar.parts.items():
        kind = svg.fill(series.index(name)) + (" invalid" if bar.invalid else "")
        width = x(before + value) - x(before)
        drawn.append(
            f'<rect class="{kind}" x="{x(before):.2f}" y="{y:g}" width="{width:.2f}"'
            f' height="{_BAR}"><title>{escape(f"{name}: {value:.2f}")}</title></rect>'
        )
        before += value
    words = svg.number(bar.total) + (f", {bar.invalid}" if bar.invalid else "")
    drawn.append(svg.text(x(before) + 8, middle, words, "soft" if bar.invalid else "ink"))
    return drawn


def _said(bar: Bar) -> str:
    parts = ", ".join(f"{name} {value:.2f}" for name, value in bar.parts.items())
    return f"{bar.label} {bar.total:.2f} ({parts})" + (" invalid" if bar.invalid else "")
