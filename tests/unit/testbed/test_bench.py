"""The bench's own sums: stamps, quantiles, pairs, CPU, tables."""

import os
from pathlib import Path

import pytest

from stream_ingress.ring import KEPT_MS
from testbed.bench import stamp
from testbed.bench.acts import paired_ms
from testbed.bench.caller import RING_S, Caller, Spec
from testbed.bench.load import ELSEWHERE, LAG_MS, Measured
from testbed.bench.machine import Spent, elsewhere, spent
from testbed.bench.quantiles import quantiles
from testbed.bench.table import latency_table, markdown, talk_table
from testbed.bench.usage import cpu_s, usage


def test_a_stamp_comes_back_from_where_it_begins_and_from_nowhere_else():
    first, second = stamp.block(7, 160), stamp.block(stamp.WHO * 3 + 8, 160)
    assert len(first) == len(second) == 160
    read = stamp.read(first + second, 160)
    assert read is not None
    sequence, late = read
    assert divmod(sequence, stamp.WHO) == (3, 8)
    assert 0 <= late < 60_000
    assert stamp.read(first, 1) is None
    assert stamp.read(b"\xff" * 160) is None


def test_quantiles_are_of_what_was_measured():
    assert quantiles([]).count == 0
    of = quantiles([float(n) for n in range(100, 0, -1)])
    assert (of.count, of.p50, of.p95, of.p99, of.worst) == (100, 51.0, 96.0, 100.0, 100.0)


def test_a_cause_is_paired_with_the_same_callers_next_effect():
    causes = [(1, 10.0), (2, 10.0), (1, 20.0), (3, 30.0)]
    effects = [(1, 9.9), (1, 10.02), (1, 10.5), (2, 10.01), (1, 22.0)]
    assert paired_ms(causes, effects) == pytest.approx([20.0, 10.0])


def measured(name: str, lag: float, **cpu: float) -> Measured:
    spread = {"p50": 1.0, "p95": 2.0, "p99": 3.0}
    phones = {"lag_p99_ms": lag, "lost_calls": 0, "late_frames": 0, "delta_ms": spread}
    phones |= {"seconds": 8.0, "heard_s": 300.0, "ring_kib": 120.0}
    model = {"lag_p99_ms": 0.0, "dropped": 4, "last_frame_ms": spread, "waited_ms": spread}
    model |= {"frames": 20_000, "audio_s": 400.0}
    return Measured(name, 50, cpu, phones=phones | {"greeting_ms": spread}, model=model)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_is_the_audio_path_as_a_ratio_to_the_yardstick():
    relay = measured("relay", 1.0, relay=8.0)
    ours = measured("trunkline", LAG_MS + 1, nats=5.0, **{"stream-ingress": 1.5, "ai-agent": 2.5})
    ours.nats = {"published": 36.4, "delivered": 38.2}
    assert ours.path_cpu == 4.0
    table = talk_table([relay, ours], relay).splitlines()
    row = cells(table[3])
    assert row[:7] == ["trunkline", "50", "4.00", "0.50", "1.50", "2.50", "5.00"]
    assert row[8:11] == ["36", "38", "4"]
    assert row[-1] == "invalid: generator late 4.0 ms"
    assert cells(table[2])[-1] == "1.0"
    assert cells(latency_table([ours]).splitlines()[2])[:2] == ["trunkline", "50 (invalid)"]


def test_the_ring_stands_apart_from_what_else_a_call_keeps():
    ours = measured("trunkline", 1.0, **{"stream-ingress": 1.5, "ai-agent": 2.5})
    ours.memory = {"stream-ingress": 300.0, "ai-agent": 90.0}
    assert cells(latency_table([ours]).splitlines()[2])[-3:] == ["180", "120", "90"]


def test_a_callers_ring_grows_with_what_was_said_until_it_is_full():
    assert RING_S * 1000 == KEPT_MS
    caller = Caller(Spec(1, "AC", "token", "+15550100002"), 0)
    for frames, held in ((0, 0), (100, 16_000), (1_500, 240_000), (9_000, 240_000)):
        caller._frame = frames
        assert caller.ringed_bytes == held


@pytest.mark.parametrize(
    ("phones", "why"),
    [
        ({}, ""),
        ({"lag_p99_ms": 4.54}, "generator late 4.5 ms"),
        ({"lag_p99_ms": 3.0}, ""),
        ({"lost_calls": 3}, "3 calls lost"),
        ({"heard_s": 150.0}, "callers heard 50%"),
        ({"model heard": 200.0}, "model heard 50%"),
        # Less than a turn: how much is spoken is chance.
        ({"heard_s": 0.0, "seconds": 2.0}, ""),
    ],
)
def test_a_row_says_why_it_says_nothing(phones, why):
    row = measured("trunkline", 1.0, **{"stream-ingress": 1.5})
    row.model["audio_s"] = phones.pop("model heard", 400.0)
    row.phones |= phones
    assert row.invalid == why


def test_a_row_that_broke_has_no_figures_but_its_reason():
    broken = Measured("trunkline", 400, broke="calls not answered")
    row = cells(talk_table([broken], None).splitlines()[2])
    assert row[:2] + row[-1:] == ["trunkline", "400", "invalid: calls not answered"]
    assert set(row[2:-1]) == {""}
    assert len(latency_table([broken]).splitlines()) == 2


def test_latencies_of_what_destroys_the_stamps_are_not_invented():
    peer = measured("pipecat", 1.0, relay=20.0)
    peer.model |= {"frames": 0}
    row = cells(latency_table([peer]).splitlines()[2])
    assert row[2:9] == [""] * 7
    assert cells(talk_table([peer], None).splitlines()[2])[10] == ""


def proc(folder: Path, ticks: tuple[int, int], nanoseconds: list[int]) -> Path:
    fields = ["R", *["0"] * 10, *map(str, ticks), *["0"] * 20]
    (folder / "stat").write_text(f"7 (a (strange) name) {' '.join(fields)}\n")
    for number, ran in enumerate(nanoseconds):
        task = folder / "task" / str(number)
        task.mkdir(parents=True)
        (task / "schedstat").write_text(f"{ran} 12 3\n")
    return folder


def test_cpu_is_the_schedulers_nanoseconds_of_all_threads(tmp_path):
    folder = proc(tmp_path, (30, 11), [400_000_001, 17_000_002])
    assert cpu_s(folder) == pytest.approx(0.417_000_003, abs=1e-12)


def test_cpu_is_ticks_without_a_scheduler_that_tells_or_with_threads_that_ended(tmp_path):
    ticks = 41 / os.sysconf("SC_CLK_TCK")
    assert cpu_s(proc(tmp_path, (30, 11), [])) == ticks
    assert cpu_s(proc(tmp_path, (30, 11), [5_000])) == ticks


def test_what_is_not_of_the_bench_is_elsewhere(tmp_path):
    def process(pid: int, parent: int, *ticks: int) -> None:
        (tmp_path / str(pid)).mkdir(exist_ok=True)
        fields = ["S", str(parent), *["0"] * 9, *map(str, ticks), *["0"] * 20]
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a) b) {' '.join(fields)}\n")

    ticks = os.sysconf("SC_CLK_TCK")
    (tmp_path / "stat").write_text(f"cpu  {ticks} 0 0 9 9 9 9 0 0 0\ncpu0 1 2 3\n")
    for pid, parent in ((7, 1), (8, 7), (9, 8), (10, 1)):
        process(pid, parent, 0, 0, 0, 0)
    before = spent(7, tmp_path)
    assert (before.machine_s, before.own_s) == (1.0, 0.0)
    (tmp_path / "stat").write_text(f"cpu  {3 * ticks} {ticks} {ticks} 99 99 99 99 {ticks} 0 0\n")
    process(8, 7, ticks, ticks, ticks, 0)
    process(9, 8, 0, 0, 0, ticks)
    process(10, 1, ticks, 0, 0, 0)
    after = spent(7, tmp_path)
    assert (after.machine_s, after.own_s) == (6.0, 4.0)
    cores = os.cpu_count() or 1
    assert elsewhere(Spent(10.0, 1.0, 0.0), Spent(12.0, 6.0, 4.0)) == pytest.approx(0.5 / cores)
    assert elsewhere(Spent(10.0, 1.0, 0.0), Spent(12.0, 1.0, 0.1)) == 0


def test_a_disturbed_row_says_so():
    row = measured("trunkline", 1.0, **{"stream-ingress": 1.5})
    row.elsewhere = ELSEWHERE
    assert row.invalid == ""
    row.elsewhere = 0.4
    assert row.invalid == "machine 40% busy elsewhere"


def test_a_process_has_used_something():
    found = usage(os.getpid())
    assert found.cpu_s > 0
    assert 1_000 < found.memory_kib < 4_000_000


def test_a_table_is_aligned():
    assert markdown(("a", "bb"), [("ccc", "d")]) == "| a   | bb |\n| --- | -- |\n| ccc | d  |"
