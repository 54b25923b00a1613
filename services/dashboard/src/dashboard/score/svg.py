"""A score as SVG: one builder for all sizes (pure).

Colours are classes of ``score.css``; audio that was cut has the hatch that ``score/_defs.html``
puts on the page once. Nothing here is styled inline.
"""

from collections.abc import Iterable
from functools import lru_cache
from html import escape

from markupsafe import Markup

from dashboard.score.layout import STRIP, TINY, Layout, Shape, Size, Text, lay_out, page
from dashboard.score.parts import Parts, span

STRIP_MS = 60_000
LIVE = ' data-live=""'
SHORT = 72
"""Letters of a title in the small sizes: a board holds thousands of them."""


def strip(parts: Parts) -> Markup:
    """The last minute of a call that goes on; the whole of one that ended, or its first minute."""
    to_ms = max(parts.length_ms, STRIP_MS)
    layout = lay_out(parts, STRIP, to_ms - STRIP_MS if parts.live else 0, to_ms)
    return draw(layout, parts, f"Score, {'last minute' if parts.live else 'whole call'}")


def tiny(parts: Parts) -> Markup:
    """A whole call at a glance."""
    return draw(lay_out(parts, TINY, 0, max(parts.length_ms, 1000)), parts, "Score")


def sheet(parts: Parts, width: float, from_ms: int, to_ms: int) -> Markup:
    """[from_ms, to_ms) of a call as its page shows it: parts can be focused one after the other."""
    return draw(lay_out(parts, page(width), from_ms, to_ms), parts, "Score of the call")


def draw(layout: Layout, parts: Parts, name: str) -> Markup:
    """``layout`` as SVG with the accessible name ``name`` and what the call holds."""
    size = layout.size
    whole = size.name == "page"
    label = f"{name}: {summary(parts)}"
    drawn = [
        f'<svg class="score score--{size.name}" viewBox="0 0 {_n(size.width)} {_n(size.height)}" '
        f'width="{_n(size.width)}" height="{_n(size.height)}" role="{"group" if whole else "img"}" '
        f'aria-label="{escape(label)}" data-from="{layout.from_ms}" data-to="{layout.to_ms}"'
        f"{LIVE if parts.live else ''}>",
        f'<path class="score-stave" d="{_staves(size)}"/><g class="score-flow">',
        *(
            f'<path class="score-tick" d="M{_n(t.x)} {_n(size.caller.y)}V{_n(size.height - 20)}"/>'
            for t in layout.ticks
        ),
        *(_shape(shape, size, whole=whole) for shape in layout.shapes),
        *(_text(text) for text in layout.texts),
        "</g></svg>",
    ]
    return Markup("".join(drawn))  # noqa: S704 (every value is a number of ours or was escaped)


def summary(parts: Parts) -> str:
    """What a call holds, in a sentence."""
    kinds = ("caller", "assistant", "unheard", "tool", "key", "gap", "taken")
    counts = dict.fromkeys(kinds, 0)
    for part in parts.parts:
        if part.kind in counts:
            counts[part.kind] += 1
    names = {
        "caller": ("turn of the caller", "turns of the caller"),
        "assistant": ("answer", "answers"),
        "unheard": ("cut off", "cut off"),
        "tool": ("tool call", "tool calls"),
        "key": ("key", "keys"),
        "gap": ("loss or hand-over", "losses or hand-overs"),
        "taken": ("time taken over", "times taken over"),
    }
    said = [f"{n} {names[kind][n > 1]}" for kind, n in counts.items() if n]
    return ", ".join([span(parts.length_ms), *said]) if said else "nothing said yet"


def _staves(size: Size) -> str:
    return "".join(
        f"M0 {_n(y)}H{_n(size.width)}"
        for y in (size.caller.mid, size.middle.mid, size.assistant.mid)
    )


def _shape(shape: Shape, size: Size, *, whole: bool) -> str:
    part = shape.part
    tone = f" is-{part.tone}" if part.tone else ""
    focus = ""
    if whole:
        words = escape(part.words)
        key = escape(part.key)
        focus = f' data-key="{key}" tabindex="-1" role="img" aria-label="{words}"'
    else:
        words = escape(_short(part.words))
    return (
        f'<g class="part part--{part.kind}{tone}"{focus}>'
        f"<title>{words}</title>{''.join(_figure(shape, size))}</g>"
    )


def _short(words: str) -> str:
    return words if len(words) <= SHORT else f"{words[: SHORT - 1].rstrip()}…"


def _figure(shape: Shape, size: Size) -> Iterable[str]:
    x, y, w, h = shape.x, shape.y, shape.w, shape.h
    mid = y + h / 2
    box = f'x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}"'
    match shape.part.kind:
        case "tool":
            r = min(h / 2, 7)
            centre = x + min(h / 2, w / 2)
            if w > h:
                yield f'<path class="tail" d="M{_n(centre)} {_n(mid)}H{_n(x + w - h / 2)}"/>'
            yield (
                f'<path class="diamond" d="M{_n(centre - r)} {_n(mid)}l{_n(r)} {_n(-r)} '
                f'{_n(r)} {_n(r)} {_n(-r)} {_n(r)}z"/>'
            )
        case "key":
            yield f'<rect {box} rx="2"/>'
            if size.key >= 10:
                where = f'x="{_n(x + w / 2)}" y="{_n(mid + size.key * 0.3)}"'
                yield f"<text {where}>{escape(shape.part.label)}</text>"
        case "rule":
            yield f'<path class="wide" d="M{_n(x)} {_n(y)}v{_n(h)}"/>'
            yield f'<path d="M{_n(x)} {_n(y)}v{_n(h)}"/>'
        case "response" if size.answers:
            yield f'<path d="M{_n(x)} {_n(y)}v5h{_n(w)}v-5"/>'
        case "response":
            yield f'<path d="M{_n(x)} {_n(size.middle.mid)}h{_n(w)}"/>'
        case "gap":
            yield f"<rect {box}/>"
            yield (
                f'<path d="M{_n(x + 3)} {_n(y)}H{_n(x)}v{_n(h)}h3'
                f'M{_n(x + w - 3)} {_n(y)}h3v{_n(h)}h-3"/>'
            )
        case "taken":
            yield f'<rect {box} rx="3"/>'
        case "unheard":
            yield f'<rect class="back" {box} rx="1"/><rect {box} rx="1" fill="url(#score-hatch)"/>'
        case _:
            yield f'<rect {box} rx="{1 if size.name == "tiny" else 2}"/>'


def _text(text: Text) -> str:
    where = f'x="{_n(text.x)}" y="{_n(text.y + 11)}"'
    return f'<text class="score-{text.row}" {where}>{escape(text.text)}</text>'


@lru_cache(16_384)
def _n(value: float) -> str:
    """A number to a tenth of a unit, as short as it can be."""
    return f"{value:.1f}".removesuffix(".0")
