"""The bench's own sums: stamps, quantiles, pairs, tables."""

import pytest

from testbed.bench import stamp
from testbed.bench.acts import paired_ms
from testbed.bench.load import LAG_MS, Measured
from testbed.bench.quantiles import quantiles
from testbed.bench.table import latency_table, markdown, talk_table


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
    model = {"lag_p99_ms": 0.0, "dropped": 4, "last_frame_ms": spread, "waited_ms": spread}
    return Measured(name, 50, cpu, {}, phones | {"greeting_ms": spread}, model)


def test_a_row_is_the_audio_path_as_a_ratio_to_the_yardstick():
    relay = measured("relay", 1.0, relay=8.0)
    ours = measured("trunkline", LAG_MS + 1, nats=5.0, **{"stream-ingress": 1.5, "ai-agent": 2.5})
    assert ours.path_cpu == 4.0
    table = talk_table([relay, ours], relay).splitlines()
    cells = [cell.strip() for cell in table[3].strip("|").split("|")]
    assert cells[:7] == ["trunkline", "50", "4.00", "0.50", "1.50", "2.50", "5.00"]
    assert "INVALID" in cells[-1]
    assert "INVALID" not in table[2]
    assert "trunkline" in latency_table([ours])


def test_a_table_is_aligned():
    assert markdown(("a", "bb"), [("ccc", "d")]) == "| a   | bb |\n| --- | -- |\n| ccc | d  |"
