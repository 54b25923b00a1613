"""The bench's pictures, read as XML: bars and points stand where the figures say."""

from xml.etree import ElementTree as ET

import pytest

from testbed.bench import svg
from testbed.bench.bar_chart import Bar, Target, bar_chart
from testbed.bench.line_chart import Axes, Line, Panel, Point, line_chart
from testbed.bench.load import LAG_MS, Measured
from testbed.bench.pictures import pictures

SVG = "{http://www.w3.org/2000/svg}"


def drawn(root: ET.Element, shape: str) -> dict[str, ET.Element]:
    """Shapes that say their value in a title of their own, by it."""
    found = {}
    for element in root.iter(f"{SVG}{shape}"):
        title = element.find(f"{SVG}title")
        if title is not None:
            found[title.text] = element
    return found


def words(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def at(element: ET.Element, *names: str) -> list[float]:
    return [float(element.attrib[name]) for name in names]


def measured(name: str, calls: int, scale: float = 1.0, lag: float = 1.0, **cpu: float) -> Measured:
    spread = {"p50": scale, "p95": 2 * scale, "p99": 4 * scale}
    phones = {"lag_p99_ms": lag, "lost_calls": 0, "delta_ms": spread, "seconds": 8.0}
    model = {"lag_p99_ms": 0.0, "frames": 1, "last_frame_ms": {k: v / 2 for k, v in spread.items()}}
    phones["heard_s"], model["audio_s"] = calls * 6.0, calls * 8.0
    return Measured(name, calls, cpu, phones=phones, model=model)


def ours(calls: int, ingress: float, agent: float, **more: float) -> Measured:
    return measured("trunkline", calls, **more, **{"stream-ingress": ingress, "ai-agent": agent})


@pytest.mark.parametrize(
    ("top", "last", "count"),
    [(0.0, 1.0, 2), (1.0, 1.0, 6), (3.7, 4.0, 5), (10.0, 10.0, 6), (0.042, 0.05, 6), (401, 500, 6)],
)
def test_an_axis_has_few_round_numbers_that_reach_the_top(top, last, count):
    marks = svg.ticks(top)
    assert marks[0] == 0
    assert marks[-1] == pytest.approx(last)
    assert len(marks) == count


def test_bars_are_as_long_as_their_parts_one_behind_the_other():
    bars = [Bar("one", {"a": 4.0}), Bar("both", {"a": 1.0, "b": 1.5})]
    root = ET.fromstring(bar_chart("Cost", "ms", ["a", "b"], bars, Target("goal", 2.0)))
    rects = drawn(root, "rect")
    x, width = at(rects["a: 4.00"], "x", "width")
    first, second = rects["a: 1.00"], rects["b: 1.50"]
    assert at(first, "x", "width") == pytest.approx([x, width / 4])
    assert at(second, "x", "width") == pytest.approx([x + width / 4, width * 3 / 8], abs=0.02)
    assert first.attrib["y"] == second.attrib["y"] != rects["a: 4.00"].attrib["y"]
    assert first.attrib["class"] == rects["a: 4.00"].attrib["class"] != second.attrib["class"]
    goal = next(e for e in root.iter(f"{SVG}line") if e.attrib["class"] == "mark")
    assert at(goal, "x1", "x2") == pytest.approx([x + width / 2] * 2)
    assert {"Cost", "ms", "a", "b", "one", "both", "4.00", "2.50", "goal"} <= set(words(root))


def test_an_invalid_bar_is_pale_ends_at_the_scale_and_says_why():
    bars = [Bar("good", {"a": 4.0}), Bar("bad", {"a": 90.0}, "generator late 9.0 ms")]
    root = ET.fromstring(bar_chart("Cost", "ms", ["a"], bars))
    rects = drawn(root, "rect")
    assert rects["a: 90.00"].attrib["width"] == rects["a: 4.00"].attrib["width"]
    assert "invalid" in rects["a: 90.00"].attrib["class"]
    assert "invalid" not in rects["a: 4.00"].attrib["class"]
    assert "90, generator late 9.0 ms" in words(root)


def test_points_stand_at_their_values_and_a_line_goes_through_those_that_count():
    points = (Point(100, 2.0), Point(200, 5.0), Point(400, 80.0, valid=False))
    chart = line_chart("Delay", Axes("calls", "ms"), [Panel("up", (Line("p99", points),))])
    root = ET.fromstring(chart)
    circles = drawn(root, "circle")
    first, second, third = (at(circles[f"p99, {p.x:g}: {p.y:.2f}"], "cx", "cy") for p in points)
    texts = {e.text: e for e in root.iter(f"{SVG}text") if e.attrib.get("text-anchor") == "end"}
    middles = {e.text: e for e in root.iter(f"{SVG}text") if e.text in ("0", "400")}
    zero = at(texts["0"], "y")[0] - 4
    assert (zero - first[1]) / (zero - second[1]) == pytest.approx(2 / 5, abs=1e-3)
    assert second[0] - first[0] == pytest.approx((third[0] - first[0]) / 3, abs=0.02)
    assert third[0] == pytest.approx(at(middles["400"], "x")[0], abs=0.02)
    # The one that does not count stands at the edge, which is the scale of the others.
    assert third[1] == second[1]
    assert "80 \u2191" in words(root)
    assert "hollow: invalid row" in words(root)
    assert "invalid" in circles["p99, 400: 80.00"].attrib["class"]
    (line,) = root.iter(f"{SVG}polyline")
    through = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert through == [tuple(first), tuple(second)]


def test_panels_have_one_scale_and_stand_side_by_side():
    def panel(name, value):
        return Panel(name, (Line("p50", (Point(10, value),)),))

    chart = line_chart("Delay", Axes("calls", "ms"), [panel("up", 2.0), panel("down", 4.0)])
    root = ET.fromstring(chart)
    circles = drawn(root, "circle")
    up, down = circles["p50, 10: 2.00"], circles["p50, 10: 4.00"]
    assert at(up, "cy") > at(down, "cy")
    assert at(up, "cx") < at(down, "cx") < [float(svg.WIDTH)]
    assert words(root).count("calls") == 2
    assert words(root).count("p50") == 1


def test_every_picture_is_told_in_words_and_readable_in_the_dark():
    rows = [measured("relay", 50, relay=4.0), ours(50, 1.0, 1.2), ours(10, 1.1, 1.4)]
    made = pictures(rows, 50, 0.55)
    assert set(made) == {"cost.svg", "growth.svg", "latency.svg"}
    for picture in made.values():
        root = ET.fromstring(picture)
        assert root.attrib["role"] == "img"
        named = {e.attrib.get("id"): e.text for e in root}
        assert all(named[name] for name in root.attrib["aria-labelledby"].split())
        style = root.find(f"{SVG}style")
        assert style is not None
        assert "prefers-color-scheme:dark" in (style.text or "")
        classes = {name for e in root.iter() for name in e.attrib.get("class", "").split()}
        assert [name for name in classes if f".{name}" not in (style.text or "")] == []
        bottom = float(root.attrib["height"])
        assert all(float(e.attrib.get("y", 0)) <= bottom for e in root.iter())
    assert "trunkline 2.20 (ingress 1.00, agent 1.20)" in made["cost.svg"]
    assert "ingress + agent: 2.50 at 10, 2.20 at 50" in made["growth.svg"]
    assert "p99: 2.00 at 10, 2.00 at 50" in made["latency.svg"]


def test_the_relay_and_the_target_stand_beside_ours():
    made = pictures([measured("relay", 50, relay=4.0), ours(50, 1.0, 1.2)], 50, 0.5)
    root = ET.fromstring(made["cost.svg"])
    relay = drawn(root, "rect")["one process: 4.00"]
    x, width = at(relay, "x", "width")
    goal = next(e for e in root.iter(f"{SVG}line") if e.attrib["class"] == "mark")
    assert at(goal, "x1") == pytest.approx([x + width / 2])
    # One number of calls is no growth.
    assert set(made) == {"cost.svg"}


def test_an_invalid_row_is_hollow_and_a_broken_one_is_nowhere():
    late = ours(400, 3.0, 3.0, scale=100.0, lag=LAG_MS + 1)
    broken = Measured("trunkline", 800, broke="calls not answered")
    made = pictures([ours(10, 1.0, 1.0), ours(50, 1.0, 1.0), late, broken], 50, 0.55)
    for name in ("growth.svg", "latency.svg"):
        circles = drawn(ET.fromstring(made[name]), "circle")
        for title, circle in circles.items():
            assert ("invalid" in circle.attrib["class"]) == (", 400:" in title)
            assert ", 800:" not in title
