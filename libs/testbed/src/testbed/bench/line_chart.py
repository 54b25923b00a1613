"""PURE: lines over a number of calls, in panels side by side with one scale, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from testbed.bench import svg

_TOP = 106
_HEIGHT = 240
_GAP = 56
_RADIUS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """A measurement; one that does not count is drawn hollow."""

    x: float
    y: float
    valid: bool = True


@dataclass(frozen=True, slots=True)
class Line:
    """The measurements of one thing, from left to right."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One pair of axes; its lines have the colours of their places."""

    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Axes:
    """What is counted along, and what is measured."""

    x: str
    y: str


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a panel stands and what its edges mean."""

    left: float
    right: float
    x_marks: list[float]
    y_marks: list[float]

    def x(self, value: float) -> float:
        return self.left + (self.right - self.left) * value / self.x_marks[-1]

    def y(self, value: float) -> float:
        return _TOP + _HEIGHT * (1 - min(value, self.y_marks[-1]) / self.y_marks[-1])


def line_chart(title: str, axes: Axes, panels: Sequence[Panel]) -> str:
    """A picture of `panels`. Points that do not count never set the scale of y: they stand at the
    upper edge, with their value beside them.
    """
    points = [point for panel in panels for line in panel.lines for point in line.points]
    counted = [point.y for point in points if point.valid] or [point.y for point in points]
    x_marks = svg.ticks(max((point.x for point in points), default=0.0))
    y_marks = svg.ticks(max(counted, default=0.0))
    width = (svg.WIDTH - 2 * svg.MARGIN - _GAP * len(panels)) / max(1, len(panels))
    shown = panels[0].lines if panels else ()
    body = svg.legend([line.name if line.points else "" for line in shown])
    hollow = any(not point.valid for point in points)
    if hollow:
        body.append(
            svg.text(svg.WIDTH - svg.MARGIN, svg.LEGEND_Y, "hollow: invalid row", anchor="end")
        )
    for place, panel in enumerate(panels):
        left = svg.MARGIN + _GAP * (place + 1) + width * place
        body += _panel(panel, _Frame(left, left + width, x_marks, y_marks), axes)
    return svg.document(title, _said(axes, panels), _TOP + _HEIGHT + 56, body)


def _panel(panel: Panel, frame: _Frame, axes: Axes) -> list[str]:
    bottom = _TOP + _HEIGHT
    middle = (frame.left + frame.right) / 2
    drawn = [svg.text(frame.left, _TOP - 16, panel.title, "ink")]
    for mark in frame.y_marks:
        drawn.append(svg.rule(frame.left, frame.y(mark), frame.right, frame.y(mark)))
        drawn.append(svg.text(frame.left - 8, frame.y(mark) + 4, f"{mark:g}", anchor="end"))
    for mark in frame.x_marks:
        drawn.append(svg.rule(frame.x(mark), bottom, frame.x(mark), bottom + 5, "axis"))
        drawn.append(svg.text(frame.x(mark), bottom + 18, f"{mark:g}", anchor="middle"))
    drawn.append(svg.rule(frame.left, bottom, frame.right, bottom, "axis"))
    drawn.append(svg.text(middle, bottom + 38, axes.x, anchor="middle"))
    x, y = frame.left - 40, _TOP + _HEIGHT / 2
    drawn.append(
        f'<text class="soft" text-anchor="middle" transform="translate({x:g} {y:g}) rotate(-90)">'
        f"{escape(axes.y)}</text>"
    )
    for number, line in enumerate(panel.lines):
        drawn += _line(number, line, frame)
    return drawn


def _line(number: int, line: Line, frame: _Frame) -> list[str]:
    counted = [f"{frame.x(p.x):.2f},{frame.y(p.y):.2f}" for p in line.points if p.valid]
    drawn: list[str] = []
    if len(counted) > 1:
        drawn.append(f'<polyline class="{svg.stroke(number)}" points="{" ".join(counted)}"/>')
    for point in line.points:
        kind = svg.fill(number) + ("" if point.valid else " invalid")
        x, y = frame.x(point.x), frame.y(point.y)
        words = escape(f"{line.name}, {point.x:g}: {point.y:.2f}")
        drawn.append(
            f'<circle class="{kind}" cx="{x:.2f}" cy="{y:.2f}" r="{_RADIUS}">'
            f"<title>{words}</title></circle>"
        )
        if point.y > frame.y_marks[-1]:
            drawn.append(
                svg.text(x - 8, y + 4 + 13 * number, f"{point.y:.0f} \u2191", anchor="end")
            )
    return drawn


def _said(axes: Axes, panels: Sequence[Panel]) -> str:
    found: list[str] = []
    for panel in panels:
        for line in panel.lines:
            values = ", ".join(
                f"{p.y:.2f} at {p.x:g}" + ("" if p.valid else " (invalid)") for p in line.points
            )
            found.append(f"{panel.title}, {line.name}: {values}")
    return f"{axes.y} against {axes.x}. " + "; ".join(found) + "."
