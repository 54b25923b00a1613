"""What a call costs, as a ratio to a relay in the same run: a guard against losing what was won.

`make bench` measures properly. Here relay and ours are measured in turn, twice, and the cheaper
of each counts: what else the machine does adds to a measurement. While something else has a good
part of the machine, which more processes suffer more from, there are more rounds; if it has to the
end, what is above the limit judges nobody, and only what is counted is judged.
"""

import json
import subprocess
import sys

import pytest

CALLS = 50
SECONDS = 4
"""One turn of the model: 3 s of speech every 4 s."""
ROUNDS = 2
MORE = 2
"""While the machine is busy elsewhere."""
BUSY = 75
"""How the bench ends when it was above the limit and busy to the end."""

AT_MOST = 1.25
"""Ingress and agent, of the relay: the only place of this limit. Generous, because a ratio of
several processes to one differs between machines, and between days of one machine, even when
nothing else runs; docs/performance.md says what was measured."""

MESSAGES_AT_MOST = {"published": 42, "delivered": 44}
"""NATS messages a call and second, a fifth above what they are. No machine's speed changes them, so
more of them is a change of ours."""


@pytest.mark.timeout(300)
def test_a_call_costs_no_more_than_it_did(tmp_path):
    kept = tmp_path / "bench.json"
    command = [sys.executable, "-m", "testbed.bench", "--rows", "relay,ours", "--json", str(kept)]
    command += ["--calls", str(CALLS), "--seconds", str(SECONDS), "--rounds", str(ROUNDS)]
    command += ["--at-most", str(AT_MOST), "--more", str(MORE)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert ran.returncode in (0, BUSY), ran.stdout + ran.stderr
    rows = json.loads(kept.read_text())["rows"]
    assert len(rows) >= 2 * ROUNDS
    assert [row["name"] for row in rows] == ["relay", "trunkline"] * (len(rows) // 2)
    for row in rows:
        frames = row["model"]["frames"]
        assert row["phones"]["lost_calls"] == 0
        assert row["model"]["dropped"] == 0
        # 50 frames a second from each caller, but for those on their way.
        assert abs(frames - row["phones"]["frames_sent"]) < 0.05 * row["phones"]["frames_sent"]
        assert frames > 0.5 * CALLS * 50 * SECONDS
        assert row["phones"]["heard_s"] > 0.5 * CALLS * SECONDS * 3 / 4
    for ours in rows[1::2]:
        assert set(ours["cpu"]) == {
            *("stream-ingress", "ai-agent", "webhooks", "tool-runner", "dashboard", "nats")
        }
        for way, most in MESSAGES_AT_MOST.items():
            assert 1 < ours["nats"][way] <= most, ours["nats"]
    if ran.returncode == BUSY:
        pytest.skip(f"the machine was busy elsewhere in every round: {ran.stdout[-150:]}")
