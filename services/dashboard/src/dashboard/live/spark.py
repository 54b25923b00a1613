"""Sparklines: a series as a small SVG, bars for counts and lines for times (pure)."""

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 144, 24


def bars(values: Sequence[float], words: str) -> Markup:
    """``values`` as bars; the highest has the whole height. ``words`` is the accessible name."""
    step = WIDTH / max(1, len(values))
    most = max(values, default=0) or 1
    parts = [
        f"M{i * step:.1f} {HEIGHT}v{-max(1.5, value / most * (HEIGHT - 2)):.1f}"
        f"h{step - 1:.1f}V{HEIGHT}z"
        for i, value in enumerate(values)
        if value > 0
    ]
    return _svg(f'<path class="spark-bars" d="{"".join(parts)}"/>', words)


def lines(low: Sequence[int | None], high: Sequence[int | None], words: str) -> Markup:
    """Two series on one scale; where a value is missing, the line breaks."""
    most = max((v for v in (*low, *high) if v is not None), default=0) or 1
    return _svg(
        f'<path class="spark-high" d="{_line(high, most)}"/>'
        f'<path class="spark-low" d="{_line(low, most)}"/>',
        words,
    )


def _line(values: Sequence[int | None], most: int) -> str:
    step = WIDTH / max(1, len(values))
    path, pen = "", "M"
    for i, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        x, y = (i + 0.5) * step, HEIGHT - 1 - value / most * (HEIGHT - 3)
        alone = pen == "M" and (i + 1 >= len(values) or values[i + 1] is None)
        path += f"{pen}{x:.1f} {y:.1f}" + ("h.1" if alone else "")
        pen = "L"
    return path


def _svg(drawing: str, words: str) -> Markup:
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}"><title>{}</title>{}</svg>'
    ).format(WIDTH, HEIGHT, words, words, Markup(drawing))  # noqa: S704 (numbers of ours)
