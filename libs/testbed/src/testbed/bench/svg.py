"""PURE: the common parts of the bench's pictures: a document with its words, colours for light and
dark, an axis with round numbers, a legend. Lengths are SVG units.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 760
MARGIN = 24
TITLE_Y = 30
LEGEND_Y = 56
LETTER = 6.6
"""About the width of a letter."""

# (light, dark); on either ground each is told from its neighbour by brightness, too.
_COLOURS = (
    ("#0a58b8", "#6cb0ff"),
    ("#d9730d", "#ffb169"),
    ("#1a7f37", "#56d364"),
    ("#424a53", "#c9d1d9"),
)
DASHES = ("none", "7 4", "2 4", "10 3 2 3")


def document(title: str, description: str, height: float, body: Iterable[str]) -> str:
    """A whole picture. `description` is for who cannot see it: the figures in words."""
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}"'
            f' width="{WIDTH}" height="{height:g}" role="img" aria-labelledby="title desc">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(description)}</desc>',
            f"<style>{_style()}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{height:g}" rx="6"/>',
            text(MARGIN, TITLE_Y, title, "head"),
            *body,
            "</svg>\n",
        )
    )


def text(x: float, y: float, words: str, kind: str = "soft", anchor: str = "start") -> str:
    """`kind`: head, ink or soft; `anchor`: start, middle or end."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(words)}</text>'


def rule(x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> str:
    """A straight line."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def legend(names: Sequence[str], *, filled: bool = False) -> list[str]:
    """Names beside their colours, or their lines, in the order of the series; "" has no entry."""
    found: list[str] = []
    x, y = float(MARGIN), LEGEND_Y - 4
    for place, name in enumerate(names):
        if not name:
            continue
        if filled:
            found.append(
                f'<rect class="{fill(place)}" x="{x:g}" y="{y - 6}" width="12" height="12"/>'
            )
        else:
            found.append(rule(x, y, x + 22, y, stroke(place)))
        x += 18 if filled else 28
        found.append(text(x, LEGEND_Y, name))
        x += len(name) * LETTER + 20
    return found


def fill(number: int) -> str:
    """The class of a filled shape of a series."""
    return f"f{number % len(_COLOURS)}"


def stroke(number: int) -> str:
    """The class of a line of a series."""
    return f"s{number % len(_COLOURS)}"


def ticks(top: float) -> list[float]:
    """Round numbers from 0 until `top` is reached, six at most."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / 5))
    step = next(power * times for times in (1, 2, 5, 10, 20) if power * times * 5 >= top)
    count = math.ceil(round(top / step, 9))
    return [round(number * step, 9) for number in range(count + 1)]


def number(value: float) -> str:
    """As few digits as say something."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"


def _style() -> str:
    parts = [
        "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif}",
        ".head{font-size:16px;font-weight:600}.ink{font-weight:600}",
        ".invalid{fill-opacity:0.25;stroke-dasharray:3 3}",
        ".grid,.axis,.mark{stroke-width:1}.mark{stroke-dasharray:5 4}",
    ]
    parts += [
        f".s{at}{{fill:none;stroke-width:2.5;stroke-dasharray:{dash}}}"
        for at, dash in enumerate(DASHES)
    ]
    parts.append(_scheme(0))
    parts.append(f"@media (prefers-color-scheme:dark){{{_scheme(1)}}}")
    return "".join(parts)


def _scheme(side: int) -> str:
    """Neutral colours and those of the series: 0 light, 1 dark."""
    ground, ink, soft, grid = (
        ("#ffffff", "#1f2328", "#59636e", "#d1d9e0"),
        ("#0d1117", "#e6edf3", "#9aa4af", "#30363d"),
    )[side]
    parts = [
        f".ground{{fill:{ground}}}.head,.ink{{fill:{ink}}}.soft{{fill:{soft}}}",
        f".grid{{stroke:{grid}}}.axis,.mark{{stroke:{soft}}}",
    ]
    parts += [
        f".f{at}{{fill:{both[side]};stroke:{both[side]}}}.s{at}{{stroke:{both[side]}}}"
        for at, both in enumerate(_COLOURS)
    ]
    return "".join(parts)
