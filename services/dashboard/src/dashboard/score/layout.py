"""Where everything of a score stands in its picture: boxes and texts in user units (pure).

Three sizes. Time goes from left to right; heights are fixed, so a row never jumps. Text is drawn
only where its box is free: a box that would touch another is left out, and the words remain in
the part's title.
"""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from dashboard.score.parts import Part, PartKind, Parts, clock

SizeName = Literal["strip", "page", "tiny"]
CROWDED = 1200
"""Parts in one picture above which neighbours of a kind that touch are drawn as one."""
LEAST_LETTERS = 7
"""Room in a block below which no words are drawn: two letters and dots say nothing."""
_CHAR = 6.0
"""Units that a letter of the score's text takes at most, on average (11 units high)."""
_TICKS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)
_STANDS: tuple[PartKind, ...] = ("tool", "key", "rule", "response")


class Band(Struct, frozen=True):
    """Top and height of a row."""

    y: float
    h: float

    @property
    def mid(self) -> float:
        return self.y + self.h / 2


class Size(Struct, frozen=True):
    """One of the three sizes. Rows that a size does not have are None."""

    name: SizeName
    width: float
    height: float
    caller: Band
    middle: Band
    assistant: Band
    key: float
    names: Band | None = None
    answers: Band | None = None
    axis: Band | None = None


STRIP = Size("strip", 420, 36, Band(2, 12), Band(14, 8), Band(22, 12), 10)
TINY = Size("tiny", 160, 20, Band(1, 7), Band(8, 4), Band(12, 7), 4)


def page(width: float) -> Size:
    """The size of a call's page, as wide as its place (bounded)."""
    return Size(
        "page",
        min(max(width, 280), 2400),
        176,
        Band(22, 32),
        Band(58, 24),
        Band(86, 32),
        14,
        names=Band(2, 14),
        answers=Band(122, 26),
        axis=Band(156, 16),
    )


class Shape(Struct, frozen=True):
    """A part's box. A rule has no width."""

    part: Part
    x: float
    y: float
    w: float
    h: float


class Text(Struct, frozen=True):
    """Letters in a box; ``row`` says whose: names, speech, tool, answer or axis."""

    row: Literal["names", "caller", "assistant", "operator", "tool", "answer", "axis"]
    x: float
    y: float
    w: float
    h: float
    text: str


class Tick(Struct, frozen=True):
    """A line of the time axis."""

    x: float
    ms: int


class Layout(Struct, frozen=True):
    """A whole picture of [from_ms, to_ms)."""

    size: Size
    from_ms: int
    to_ms: int
    shapes: tuple[Shape, ...]
    texts: tuple[Text, ...]
    ticks: tuple[Tick, ...]


class Scale(Struct, frozen=True):
    """Line ms to x."""

    from_ms: int
    to_ms: int
    width: float

    def x(self, ms: int) -> float:
        share = (ms - self.from_ms) / (self.to_ms - self.from_ms)
        return round((0.0 if share < 0 else 1.0 if share > 1 else share) * self.width, 1)

    def ms(self, width: float) -> float:
        return width * (self.to_ms - self.from_ms) / self.width


def lay_out(parts: Parts, size: Size, from_ms: int, to_ms: int) -> Layout:
    """The picture of what lies in [from_ms, to_ms) in ``size``."""
    to_ms = max(to_ms, from_ms + 1)
    scale = Scale(from_ms, to_ms, size.width)
    shown = [p for p in parts.parts if p.to_ms >= from_ms and p.from_ms <= to_ms]
    if size.name == "tiny":
        shown = [p for p in shown if p.kind != "response"]  # thinner than a line
    if size.name != "page" or len(shown) > CROWDED:
        shown = _merged(shown, scale.ms(1.0))
    shapes = tuple(_shape(part, size, scale) for part in sorted(shown, key=_depth))
    ticks = tuple(_ticks(scale)) if size.axis else ()
    texts = tuple(_texts(shapes, ticks, size)) if size.axis else ()
    return Layout(size, from_ms, to_ms, shapes, texts, ticks)


_SPEECH = ("caller", "assistant", "operator", "announcement")
_LAYERS = ("taken", "gap", "unheard", *_SPEECH, *_STANDS[2:], "tool", "key")
_DEPTHS = {kind: _LAYERS.index(kind) for kind in _LAYERS}


def _depth(part: Part) -> int:
    """What lies under what: audio that nobody heard may reach under later words."""
    return _DEPTHS[part.kind]


def _merged(parts: list[Part], nearer_ms: float) -> list[Part]:
    """Neighbours of one kind and tone that are nearer than a unit as one, so that the number of
    boxes is bounded by the width. Their words name the first, and how many there are.
    """
    last: dict[tuple[str, str], int] = {}
    merged: list[Part] = []
    many: list[int] = []
    for part in parts:
        kind = (part.kind, part.tone)
        at = last.get(kind)
        near = at is not None and part.from_ms - merged[at].to_ms < nearer_ms
        if at is None or not near:
            last[kind] = len(merged)
            merged.append(part)
            many.append(1)
            continue
        first, many[at] = merged[at], many[at] + 1
        words = f"{first.words.rsplit(' (and ', 1)[0]} (and {many[at] - 1} more)"
        merged[at] = Part(
            kind=first.kind,
            key=first.key,
            from_ms=first.from_ms,
            to_ms=max(first.to_ms, part.to_ms),
            label=first.label,
            words=words,
            tone=first.tone,
        )
    return merged


def _shape(part: Part, size: Size, scale: Scale) -> Shape:
    x, end = scale.x(part.from_ms), scale.x(part.to_ms)
    match part.kind:
        case "caller":
            band = size.caller
        case "assistant" | "announcement" | "unheard" | "operator":
            band = size.assistant
        case "taken":
            around = 3 if size.name == "page" else 1
            band = Band(size.assistant.y - around, size.assistant.h + 2 * around)
        case "tool":
            band = size.middle
        case "response" if size.answers:
            band = Band(size.answers.y, 8)
        case "key":
            band = Band(size.caller.mid - size.key / 2, size.key)
            x = min(max(x - size.key / 2, 0.0), size.width - size.key)
            return Shape(part, round(x, 2), band.y, size.key, band.h)
        case _:
            band = Band(size.caller.y, size.assistant.y + size.assistant.h - size.caller.y)
    least = 0.0 if part.kind in {"rule", "response"} else 2.0
    if part.kind == "tool":
        least = band.h
        x = max(0.0, x - band.h / 2)
        end += band.h / 2 if end - x > band.h else 0.0
    w = min(max(end - x, least), size.width)
    return Shape(part, round(min(x, size.width - w), 2), band.y, round(w, 2), band.h)


def _ticks(scale: Scale) -> Iterable[Tick]:
    apart_ms = scale.ms(88)
    step = next((s * 1000 for s in _TICKS if s * 1000 >= apart_ms), _TICKS[-1] * 2000)
    first = -(-scale.from_ms // step) * step
    for ms in range(first, scale.to_ms + 1, step):
        yield Tick(scale.x(ms), ms)


class _Row:
    """Boxes already given away in one row of text."""

    def __init__(self, width: float) -> None:
        self._taken: list[tuple[float, float]] = []
        self._width = width

    def keep_free(self, x: float, w: float) -> None:
        """Nothing may be written in [x, x + w)."""
        self._taken.append((x, x + w))

    def take(self, x: float, w: float) -> bool:
        """Is [x, x + w) inside and free? Then it is taken, with a gap after it."""
        if x < 0 or x + w > self._width:
            return False
        if any(x < end and begin < x + w for begin, end in self._taken):
            return False
        self._taken.append((x, x + w + 4))
        return True


def _texts(shapes: Iterable[Shape], ticks: Iterable[Tick], size: Size) -> Iterable[Text]:
    assert size.names is not None
    assert size.answers is not None
    assert size.axis is not None
    rows = {name: _Row(size.width) for name in ("names", "caller", "assistant", "tool", "answer")}
    for shape in shapes:
        if shape.part.kind == "tool":
            rows["tool"].keep_free(shape.x - 2, shape.w + 2)
    for shape in sorted(shapes, key=lambda s: s.x):
        part, w = shape.part, _width(shape.part.label)
        match part.kind:
            case "rule" | "gap" | "taken":
                x, band, row = min(shape.x + 3, size.width - w), size.names, "names"
            case "caller":
                yield from _speech(shape, rows["caller"], size.caller)
                continue
            case "assistant" | "operator":  # one stave
                yield from _speech(shape, rows["assistant"], size.assistant)
                continue
            case "tool":
                x, band, row = shape.x + shape.w + 3, size.middle, "tool"
            case "response":
                x = shape.x + shape.w / 2 - w / 2
                x, row = min(max(x, 0.0), size.width - w), "answer"
                band = Band(size.answers.y + 10, 14)
            case _:
                continue
        x = round(x, 2)
        if part.label and rows[row].take(x, w):
            yield Text(row, x, band.mid - 7, w, 14, part.label)
    axis = _Row(size.width)
    for tick in ticks:
        label = clock(tick.ms)
        w = _width(label)
        x = round(min(max(tick.x - w / 2, 0.0), size.width - w), 2)
        if axis.take(x, w):
            yield Text("axis", x, size.axis.y, w, 14, label)


def _speech(shape: Shape, row: _Row, band: Band) -> Iterable[Text]:
    """As many of the words as the block has room for, if that is more than a few letters."""
    room = int((shape.w - 10) / _CHAR)
    label = shape.part.label.replace("\n", " ")
    if len(label) > room:
        label = f"{label[: max(0, room - 1)].rstrip()}…"
    w = _width(label)
    if room >= LEAST_LETTERS and len(label) > 1 and row.take(shape.x + 5, w):
        part = shape.part.kind
        yield Text(
            part if part == "caller" or part == "operator" else "assistant",
            round(shape.x + 5, 2),
            band.mid - 7,
            w,
            14,
            label,
        )


def _width(label: str) -> float:
    """A letter that is wider than Latin ones counts twice."""
    return round(sum(_CHAR if ord(c) < 0x1100 else 2 * _CHAR for c in label), 2)
