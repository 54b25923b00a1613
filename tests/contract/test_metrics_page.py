"""docs/metrics.md names every metric of every service with its labels, and no other."""

import subprocess
import sys

import pytest
from metrics_page import in_the_code, on_the_page

SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
IMPORTED = """
import importlib, sys
importlib.import_module(sys.argv[1] + ".app")
from prometheus_client import REGISTRY
for family in REGISTRY.collect():
    if family.name.startswith("trunkline_"):
        print(family.name + ("_total" if family.type == "counter" else ""))
"""


def test_the_page_has_every_metric_with_its_labels_and_no_other() -> None:
    page = {(metric.name, metric.labels) for metric in on_the_page()}
    code = {(metric.name, metric.labels) for metric in in_the_code()}
    assert len(code) > 60
    assert code - page == set(), "add it to docs/metrics.md"
    assert page - code == set(), "docs/metrics.md names what is not there"


def test_each_metric_stands_once() -> None:
    names = [metric.name for metric in on_the_page()]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_has_the_metrics_that_the_page_says_it_has(service: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, service.replace("-", "_")],
        capture_output=True,
        text=True,
        check=True,
    )
    page = {metric.name for metric in on_the_page() if service in metric.services}
    assert set(done.stdout.split()) == page


def test_names_say_their_units() -> None:
    for metric in in_the_code():
        assert metric.name.startswith("trunkline_"), metric.name
        if metric.kind == "Counter":
            assert metric.name.endswith("_total"), metric.name
        if metric.kind == "Histogram":
            assert metric.name.endswith(("_seconds", "_ms")), metric.name


def test_no_label_can_hold_anything_of_a_caller() -> None:
    personal = {"call", "call_id", "caller", "number", "called", "text", "arguments", "operator"}
    for metric in in_the_code():
        assert personal.isdisjoint(metric.labels), metric.name
