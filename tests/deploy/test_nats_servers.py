"""Every server that we describe treats its clients alike: the demo's, compose's, the cluster's."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "described",
    ["deploy/nats/nats.conf", "deploy/nats/values.yaml", "libs/testbed/src/testbed/nats_server.py"],
)
@pytest.mark.parametrize(
    ("option", "value"),
    [("ping_interval", "2s"), ("ping_max", "2"), ("no_fast_producer_stall", "true")],
)
def test_who_is_dead_or_does_not_read_harms_nobody_else(described, option, value) -> None:
    lines = (ROOT / described).read_text("utf-8").replace('"', "").splitlines()
    assert f"{option}: {value}" in [line.strip() for line in lines]
