"""The day's figures, the workers' meters, the bill, and the sparklines."""

import xml.etree.ElementTree as ET
from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import quantiles

from desk_calls import Writer
from hypothesis import given
from hypothesis import strategies as st

from dashboard.live import spark
from dashboard.live.cost import Bill
from dashboard.live.figures import STEP, STEPS, Figures, quantile
from dashboard.live.fleet import FORGET_AFTER, KEEP, LOST_AFTER, Fleet
from protocol import events as e
from protocol.ids import WorkerId
from protocol.placement import AgentLoad

BEGAN = datetime(2026, 11, 22, 12, 10, tzinfo=UTC)


def events(*kinds: tuple[type[e.Event], dict[str, object]]) -> list[e.AnyEvent]:
    call = Writer(1, BEGAN, 0)
    for kind, values in kinds:
        call.add(0, kind, **values)
    return [event for _, event in call.entries]


RINGING = (e.Ringing, {"caller": "+12125553456", "called": "+15557001122"})


def ended(reason: str) -> tuple[type[e.Event], dict[str, object]]:
    return (e.CallEnded, {"reason": reason})


def test_a_half_hour_counts_what_happened_in_it() -> None:
    figures = Figures()
    for event in events(RINGING, RINGING, ended("failed"), ended("caller_hung_up")):
        figures.apply(event)
    series = figures.series(BEGAN + STEP)
    assert series.calls[-3:] == (0, 2, 0)
    assert series.failed[-3:] == (0, 1, 0)
    assert series.p50_ms[-2] is None
    assert sum(figures.series(BEGAN + STEPS * STEP).calls) == 0, "a day later it is gone"


def test_the_figures_are_bounded_by_the_day() -> None:
    figures = Figures()
    for n in range(500):
        call = Writer(1, BEGAN + n * STEP, 0)
        call.add(0, *[RINGING[0]], **RINGING[1])
        figures.apply(call.entries[0][1])
    assert figures.day(BEGAN + 499 * STEP).calls == STEPS
    assert len(figures._spans) <= STEPS + 1


@given(st.lists(st.integers(0, 999), min_size=2, max_size=60))
def test_quantiles_are_values_with_the_right_share_below(values: list[int]) -> None:
    counts = dict(Counter(values))
    for share in (0.5, 0.95):
        found = quantile(counts, share)
        assert found in values
        assert found is not None
        assert sum(v <= found for v in values) >= share * len(values) - 1e-9
        assert sum(v < found for v in values) < share * len(values) + 1e-9
    assert quantiles(values, n=2, method="inclusive")[0] >= (quantile(counts, 0.5) or 0)


def test_no_answers_have_no_quantile() -> None:
    assert quantile({}, 0.5) is None


def load(worker: str, free: int, *, draining: bool = False) -> AgentLoad:
    return AgentLoad(WorkerId(worker), free, draining, "1.0")


def test_meters_show_slots_and_state() -> None:
    fleet = Fleet()
    assert fleet.heard(load("a", 3), BEGAN)
    assert not fleet.heard(load("a", 3), BEGAN), "the same words are no news"
    assert fleet.heard(load("b", 0), BEGAN)
    a, b = fleet.meters({"a": 1, "b": 2})
    assert (a.busy, a.slots, a.state) == (1, 4, "ready")
    assert (b.busy, b.slots, b.state) == (2, 2, "full")
    assert a.words == "1 of 4 slots taken, ready"
    fleet.heard(load("a", 0, draining=True), BEGAN)
    (a, _) = fleet.meters({"a": 1})
    assert (a.busy, a.slots, a.state) == (1, 4, "draining"), "its slots are remembered"


def test_a_silent_worker_is_lost_then_forgotten_and_comes_back() -> None:
    fleet = Fleet()
    fleet.heard(load("a", 2), BEGAN)
    assert not fleet.watch(BEGAN + LOST_AFTER)
    late = BEGAN + LOST_AFTER + timedelta(milliseconds=1)
    assert fleet.watch(late)
    assert not fleet.watch(late), "once"
    assert fleet.meters({})[0].state == "lost"
    assert fleet.heard(load("a", 2), late)
    assert fleet.meters({})[0].state == "ready"
    assert fleet.watch(late + FORGET_AFTER + timedelta(seconds=1))
    assert fleet.meters({}) == ()


def test_the_fleet_is_bounded() -> None:
    fleet = Fleet()
    for n in range(KEEP + 50):
        fleet.heard(load(f"w{n}", 1), BEGAN)
    assert len(fleet.meters({})) == KEEP


def test_a_bill_adds_up_by_model_and_modality() -> None:
    bill = Bill()
    report = {"source": "response", "reference": "r", "model": "m"}
    tokens = e.Tokens(text_in=1, audio_in=2, cached_text_in=3, audio_out=5)
    for event in events(
        (e.UsageReported, report | {"tokens": tokens, "cost_usd": 0.5}),
        (e.UsageReported, report | {"tokens": tokens, "cost_usd": None}),
        (
            e.UsageReported,
            report | {"source": "transcription", "tokens": e.Tokens(), "seconds": 2.5},
        ),
        RINGING,
    ):
        bill.apply(event)
    response, transcription = bill.lines()
    assert response.tokens == e.Tokens(text_in=2, audio_in=4, cached_text_in=6, audio_out=10)
    assert (response.reports, response.cost_usd, response.unpriced) == (2, 0.5, 1)
    assert (transcription.seconds, transcription.unpriced) == (2.5, 1)


NUMBERS = st.lists(st.one_of(st.none(), st.integers(0, 10**6)), max_size=48)


@given(NUMBERS, NUMBERS)
def test_sparklines_stay_inside_their_box(low: list[int | None], high: list[int | None]) -> None:
    for drawn in (spark.lines(low, high, 'a "b" <c>'), spark.bars([v or 0 for v in low], "b")):
        svg = ET.fromstring(drawn)
        assert svg.get("aria-label")
        for path in svg.iter("path"):
            words = path.get("d", "").replace("M", " M ").replace("L", " L ").split()
            points = [w for w in words if w not in "ML"][: len(words)]
            assert all("nan" not in point and "inf" not in point for point in points)
    assert 'aria-label="a &#34;b&#34; &lt;c&gt;"' in spark.lines(low, high, 'a "b" <c>')
