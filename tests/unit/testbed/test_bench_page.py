"""What the bench writes into a page, and what it keeps."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from testbed.bench import rows
from testbed.bench.__main__ import BUSY, main
from testbed.bench.figures import Figures, from_json
from testbed.bench.load import ELSEWHERE, Carrier, Measured, Unanswered
from testbed.bench.page import END, START, block, replaced
from testbed.bench.quantiles import quantiles

if TYPE_CHECKING:
    from testbed.bench.child import Child


def figures() -> Figures:
    def row(name: str, calls: int, **cpu: float) -> Measured:
        spread = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
        phones = {"lag_p99_ms": 1.0, "lost_calls": 0, "late_frames": 0, "ring_kib": 100.0}
        phones |= {"delta_ms": spread, "greeting_ms": spread, "seconds": 8.0, "heard_s": calls * 6}
        model = {"lag_p99_ms": 0.0, "dropped": 0, "frames": 1, "audio_s": 8.0 * calls}
        model |= {"last_frame_ms": spread, "waited_ms": spread}
        return Measured(name, calls, cpu, phones=phones, model=model)

    def ours(calls: int, ms: float) -> Measured:
        return row("trunkline", calls, **{"stream-ingress": ms, "ai-agent": ms})

    return Figures(
        machine="2 x a processor",
        calls=50,
        seconds=8.0,
        rows=[row("relay", 50, relay=4.0), ours(50, 1.0), ours(10, 1.5)],
        acts={"a key is pressed -> its event": quantiles([1.0, 2.0])},
        rates={"events a second into the log": 1234.0},
        starts={"webhooks": 1.5},
        left_out=["pipecat is not installed: row left out"],
    )


def test_what_was_kept_is_what_was_measured():
    assert from_json(figures().as_json()) == figures()


def test_the_report_names_the_machine_and_the_ratio_and_what_was_left_out():
    report = figures().report()
    assert report.startswith("2 x a processor; 8 s a row, ")
    assert "take 0.50 of the relay (target 0.55)" in report
    for said in ("| relay ", "its event", "1234", "start of webhooks", "pipecat is not installed"):
        assert said in report


def test_a_ratio_of_an_invalid_row_says_so():
    measured = figures()
    assert "is invalid" not in measured.report()
    measured.rows[0].phones["lag_p99_ms"] = 4.7
    assert measured.rows[0].invalid
    assert "target 0.55). One of these two rows is invalid" in measured.report()


def test_the_best_of_several_rounds_counts():
    measured = figures()
    again = Measured("trunkline", 50, {"stream-ingress": 0.5, "ai-agent": 0.5})
    measured.rows.append(again)
    assert measured.best("trunkline") is again
    assert measured.ratio() == pytest.approx(0.25)
    assert not measured.disturbed
    again.elsewhere = ELSEWHERE + 0.01
    assert measured.best("trunkline") is not again
    assert measured.ratio() == pytest.approx(0.5)
    measured.rows = [row for row in measured.rows if row.name != "relay"]
    assert measured.ratio() is None


def test_yardsticks_stand_before_ours_which_stand_by_calls():
    measured = figures()
    measured.rows = [*measured.rows[::-1], Measured("trunkline", 400, broke="calls not answered")]
    shown = [(row.name, row.calls) for row in measured.shown]
    assert shown == [("relay", 50), ("trunkline", 10), ("trunkline", 50), ("trunkline", 400)]


def test_only_what_is_between_the_markers_changes():
    page = f"# Cost\n\n{START}\nold\n{END}\n\nafter\n"
    once = replaced(page, "new\n")
    assert once == f"# Cost\n\n{START}\nnew\n{END}\n\nafter\n"
    assert replaced(once, "new") == once


@pytest.mark.parametrize("page", ["", START, f"{END}{START}", f"{START}{START}{END}"])
def test_a_page_without_its_markers_is_refused(page):
    with pytest.raises(ValueError, match="once each"):
        replaced(page, "new")


def test_pictures_are_shown_with_words_in_their_place():
    assert block("report", "performance", ["cost.svg"]).splitlines()[0].startswith("![What")
    assert "](performance/cost.svg)\n\nreport" in block("report", "performance", ["cost.svg"])
    assert block("report", "", []) == "report"


def test_kept_figures_become_a_page_with_its_pictures(tmp_path, monkeypatch, capsys):
    kept, page = tmp_path / "bench.json", tmp_path / "docs/performance.md"
    page.parent.mkdir()
    kept.write_text(figures().as_json())
    page.write_text(f"before\n{START}\n{END}\nafter\n")
    folder = page.parent / "performance"
    words = ["bench", "--from", str(kept), "--svg", str(folder), "--page", str(page)]
    monkeypatch.setattr(sys, "argv", words)
    assert main() == 0
    written = page.read_text()
    assert figures().report() in written
    assert figures().report() in capsys.readouterr().out
    shown = [line.partition("](")[2].rstrip(")") for line in written.splitlines() if "![" in line]
    assert shown == [f"performance/{name}.svg" for name in ("cost", "growth", "latency")]
    assert all((page.parent / Path(name)).is_file() for name in shown)


@pytest.mark.parametrize(
    ("asked", "said"),
    [(["--rows", "relay,tea"], "no such rows: tea"), (["--page", "{page}"], "once each")],
)
def test_what_cannot_be_done_is_said_before_anything_is_measured(
    asked, said, tmp_path, monkeypatch, capsys
):
    page = tmp_path / "page.md"
    page.write_text("without markers")
    words = [word.format(page=page) for word in asked]
    monkeypatch.setattr(sys, "argv", ["bench", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_guard_fails_above_its_limit_and_without_a_ratio(tmp_path, monkeypatch):
    kept = tmp_path / "bench.json"
    kept.write_text(figures().as_json())

    def ended(limit: str) -> int:
        monkeypatch.setattr(sys, "argv", ["bench", "--from", str(kept), "--at-most", limit])
        return main()

    assert ended("0.51") == 0
    assert ended("0.49") == 1
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"rows": []}))
    assert ended("0.51") == 1
    busy = figures()
    for row in busy.rows:
        row.elsewhere = ELSEWHERE + 0.01
    kept.write_text(busy.as_json())
    assert "too busy" in busy.report()
    assert ended("0.51") == 0
    assert ended("0.49") == BUSY


async def test_more_calls_than_were_carried_are_a_row_that_says_so(monkeypatch):
    async def unanswered(*_: object) -> Measured:
        raise Unanswered("calls not answered")

    monkeypatch.setattr(rows, "measure", unanswered)
    measured = figures()
    wanted = rows.Wanted(frozenset({"growth"}), 400, (), 8.0)
    carrier, model = Carrier({}, lambda _: pytest.fail("nobody calls")), cast("Child", None)
    await rows._tried("trunkline", carrier, model, wanted, measured)
    assert measured.rows[-1] == Measured("trunkline", 400, broke="calls not answered")
    assert "| invalid: calls not answered" in measured.report()
    assert from_json(measured.as_json()) == measured
