"""deploy/monitoring: alert rules and dashboard speak of metrics that exist, promtool agrees with
the rules and their tests, and what is scraped is what listens.
"""

import functools
import importlib.util
import json
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from metrics_page import PAGE, in_the_code, on_the_page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/monitoring"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS = {rule["alert"]: rule for rule in RULES}
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text("utf-8"))
PANELS: list[dict[str, Any]] = [p for p in DASHBOARD["panels"] if p["type"] != "row"]
SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
SERIES = re.compile(r"\btrunkline_[a-z0-9_]+\b")


@functools.cache
def known() -> dict[str, frozenset[str]]:
    """Series that the services expose -> their labels."""
    found: dict[str, frozenset[str]] = {}
    for metric in in_the_code():
        labels = frozenset(metric.labels)
        found[metric.name] = labels
        if metric.kind == "Histogram":
            found[f"{metric.name}_bucket"] = labels | {"le"}
            found |= {f"{metric.name}_{part}": labels for part in ("sum", "count")}
    return found


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = shutil.which("promtool")
    if command is None:
        pytest.skip("no promtool on PATH: it is in Debian's package prometheus")
    return subprocess.run([command, *arguments], capture_output=True, text=True, check=False)


def expressions() -> list[tuple[str, str]]:
    found = [(name, rule["expr"]) for name, rule in ALERTS.items()]
    return found + [(p["title"], t["expr"]) for p in PANELS for t in p["targets"]]


@pytest.mark.parametrize(("where", "expr"), expressions())
def test_every_series_exists_with_the_labels_that_are_asked_of_it(where: str, expr: str) -> None:
    named = SERIES.findall(expr)
    assert named, f"{where} asks for nothing of ours"
    for series in named:
        assert series in known(), f"{where}: no service has {series}"
    for series, matchers in re.findall(r"(trunkline_[a-z0-9_]+)\{([^}]*)\}", expr):
        asked = set(re.findall(r"(\w+)\s*[=!]~?", matchers))
        assert asked <= known()[series], f"{where}: {series} has no label {asked}"
    for by in re.findall(r"\bby \(([^)]*)\)", expr):
        labels = frozenset[str]().union(*(known()[series] for series in named))
        assert {name.strip() for name in by.split(",")} <= labels, f"{where}: {by}"


def test_every_alert_says_how_bad_it_is_and_what_is_wrong() -> None:
    assert len(ALERTS) == len(RULES) > 20
    for name, rule in ALERTS.items():
        assert name.startswith("Trunkline")
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert rule["annotations"]["summary"]


def test_every_alert_is_explained_and_no_other() -> None:
    section = PAGE.read_text("utf-8").partition("\n## Alerts\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(ALERTS)


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    cases = yaml.safe_load((FOLDER / "rules_test.yml").read_text("utf-8"))["tests"]
    fired = {
        case["alertname"]
        for test in cases
        for case in test.get("alert_rule_test", [])
        if case["exp_alerts"]
    }
    assert fired == set(ALERTS)


def test_promtool_takes_the_rules_and_both_configurations() -> None:
    for arguments in (
        ("check", "rules", str(FOLDER / "rules.yml")),
        ("check", "config", str(FOLDER / "prometheus.yml")),
        ("check", "config", str(FOLDER / "prometheus.local.yml")),
    ):
        done = promtool(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rules found" in done.stdout


def test_the_alerts_fire_when_they_should_and_not_on_a_quiet_day() -> None:
    done = promtool("test", "rules", str(FOLDER / "rules_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_rule_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    text = (FOLDER / "rules.yml").read_text("utf-8")
    wrong = text.replace("sum(trunkline_agent_slots_free) == 0", "sum(trunkline_agent_calls) == 0")
    assert wrong != text
    (tmp_path / "rules.yml").write_text(wrong, "utf-8")
    shutil.copy(FOLDER / "rules_test.yml", tmp_path)
    done = promtool("test", "rules", str(tmp_path / "rules_test.yml"))
    assert done.returncode != 0
    assert "TrunklineNoSlots" in done.stdout + done.stderr


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids) > 20
    (source,) = DASHBOARD["templating"]["list"]
    assert (source["type"], source["query"]) == ("datasource", "prometheus")
    for panel in PANELS:
        assert panel["datasource"] == {"type": "prometheus", "uid": f"${{{source['name']}}}"}
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    titles = [panel["title"] for panel in DASHBOARD["panels"]]
    assert len(set(titles)) == len(titles)
    assert DASHBOARD["uid"]


def test_no_two_panels_lie_on_each_other() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken.get((x, y))}"
                taken[x, y] = panel["title"]


def test_the_dashboard_shows_what_a_caller_notices() -> None:
    shown = {series for _, expr in expressions() for series in SERIES.findall(expr)}
    wanted = {
        *("trunkline_ingress_legs", "trunkline_calls_ended_total", "trunkline_cost_usd_total"),
        *("trunkline_response_seconds_bucket", "trunkline_barge_in_seconds_bucket"),
        *("trunkline_ingress_line_gaps_total", "trunkline_ingress_dropped_in_total"),
        *("trunkline_ingress_lost_total", "trunkline_restores_total"),
        *("trunkline_agent_slots_free", "trunkline_ingress_slots"),
    }
    assert wanted <= shown


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.local.yml"])
def test_what_is_scraped_is_what_listens(name: str) -> None:
    config = yaml.safe_load((FOLDER / name).read_text("utf-8"))
    (job,) = config["scrape_configs"]
    assert job["metrics_path"] == "/metrics/"
    targets = job["static_configs"][0]["targets"]
    wanted: list[str] = []
    for service in SERVICES:
        kind = import_module(f"{service.replace('-', '_')}.settings").Settings
        (port,) = [
            field.default
            for field in msgspec.structs.fields(kind)
            if field.name.endswith("admin_port")
        ]
        host = "127.0.0.1" if "local" in name else service
        wanted.append(f"{host}:{port}")
    assert targets == wanted


def test_the_operators_rules_are_made_from_the_same_file(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "generate_monitoring", ROOT / "scripts/generate_monitoring.py"
    )
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.main(["--check"]) == 0
    made = yaml.safe_load((FOLDER / "prometheus-rule.yaml").read_text("utf-8"))
    assert made["spec"] == yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))
    shutil.copytree(FOLDER, tmp_path / "deploy/monitoring")
    (tmp_path / "deploy/monitoring/rules.yml").write_text("groups: []\n", "utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert generate.main([], tmp_path) == 0
    assert generate.main(["--check"], tmp_path) == 0


def test_the_cluster_gets_the_same_rules_and_the_same_dashboard() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on PATH: the manifests are rendered by `kubectl kustomize`")
    done = subprocess.run(
        [kubectl, "kustomize", str(FOLDER)], capture_output=True, text=True, check=True
    )
    made = {document["kind"]: document for document in yaml.safe_load_all(done.stdout)}
    assert set(made) == {"ConfigMap", "PrometheusRule"}
    rules = [r for group in made["PrometheusRule"]["spec"]["groups"] for r in group["rules"]]
    assert rules == RULES
    assert json.loads(made["ConfigMap"]["data"]["trunkline.json"]) == DASHBOARD
    component = ROOT / "deploy/k8s/components/monitoring"
    wanted = yaml.safe_load((component / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert FOLDER in [(component / each).resolve() for each in wanted]


def test_policies_let_prometheus_in_and_traces_out() -> None:
    file = ROOT / "deploy/k8s/components/network-policies/default.yaml"
    policies = {
        policy["metadata"]["name"]: policy["spec"]
        for policy in yaml.safe_load_all(file.read_text("utf-8"))
    }
    out = policies["to-collector"]
    assert out["policyTypes"] == ["Egress"]
    assert set(out["podSelector"]["matchExpressions"][0]["values"]) == set(SERVICES)
    assert out["egress"][0]["ports"] == [{"protocol": "TCP", "port": 4318}]
    (into,) = [p for p in policies.values() if {"protocol": "TCP", "port": "admin"} in ports(p)]
    assert into["policyTypes"] == ["Ingress"]


def ports(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [port for rule in policy.get("ingress", []) for port in rule.get("ports", [])]


def test_compose_adds_two_bounded_containers_on_loopback() -> None:
    more = yaml.safe_load((FOLDER / "compose.yml").read_text("utf-8"))["services"]
    assert set(more) == {"prometheus", "grafana"}
    for made in more.values():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z/]+:v?[0-9][\w.-]*\}", made["image"])
        assert made["read_only"] is True
        assert made["cap_drop"] == ["ALL"]
        assert made["mem_limit"]
        assert all(
            re.fullmatch(r"\$\{[A-Z]+_LISTEN:-127\.0\.0\.1:\d+\}:\d+", p) for p in made["ports"]
        )
        for volume in made["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (ROOT / source).is_file(), source


def test_what_the_page_documents_is_what_rules_may_use() -> None:
    assert {metric.name for metric in on_the_page()} == {metric.name for metric in in_the_code()}
