"""The manifests of deploy/k8s, rendered by kustomize: valid by Kubernetes' own schemas, and true to
what the services promise. No cluster is needed.
"""

import itertools
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest
import yaml
from crds import SCHEMAS
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.37"
SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
TOOLS = ("tool-opening-hours",)
PRESTOP_S = 5
LAST_WORDS_S = 15
"""What an ingress may need beyond its drain to hand the rest of its calls over."""
Document = dict[str, Any]


def rendered(folder: Path) -> list[Document]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl on PATH: the manifests are rendered by `kubectl kustomize`")
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the overlays need, with secrets made by the script."""
    place = tmp_path_factory.mktemp("repository")
    for folder in ("deploy", "assistants"):
        shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns("*.env"))
    keys = {
        "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
        "TWILIO_AUTH_TOKEN": "a token",
        "OPENAI_API_KEY": "a key",
    }
    script = place / "deploy/k8s/overlays/local/secrets.sh"
    subprocess.run([script], check=True, capture_output=True, env=os.environ | keys)
    return place


@pytest.fixture(scope="module", params=["local", "production"])
def overlay(request: pytest.FixtureRequest, copy: Path) -> list[Document]:
    return rendered(copy / "deploy/k8s/overlays" / request.param)


@pytest.fixture(scope="module")
def local(copy: Path) -> list[Document]:
    return rendered(copy / "deploy/k8s/overlays/local")


@pytest.fixture(scope="module")
def production(copy: Path) -> list[Document]:
    return rendered(copy / "deploy/k8s/overlays/production")


def of(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document["kind"] in kinds]


def workloads(documents: list[Document]) -> list[Document]:
    return of(documents, "Deployment", "StatefulSet", "Job")


def pod(workload: Document) -> Document:
    return workload["spec"]["template"]["spec"]


def containers(documents: list[Document]) -> Iterator[tuple[str, Document]]:
    for workload in workloads(documents):
        for container in pod(workload)["containers"]:
            yield workload["metadata"]["name"], container


def named(documents: list[Document], kind: str, name: str) -> Document:
    (found,) = [d for d in of(documents, kind) if d["metadata"]["name"].startswith(name)]
    return found


def test_every_document_is_valid_by_its_schema(overlay: list[Document]) -> None:
    assert len(overlay) > 20
    for document in overlay:
        if document["kind"] in SCHEMAS:
            errors = Draft202012Validator(SCHEMAS[document["kind"]]).iter_errors(document)
            assert [f"{error.json_path}: {error.message}" for error in errors] == []
        else:
            kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_a_slip_in_a_manifest_is_seen(production: list[Document]) -> None:
    deployment = named(production, "Deployment", "webhooks")
    pod(deployment)["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES, strict=True)
    del pod(deployment)["containers"][0]["livenesProbe"]


def test_images_have_a_version_and_never_latest(overlay: list[Document]) -> None:
    for name, container in containers(overlay):
        _, _, tag = container["image"].rpartition(":")
        assert tag, f"{name} has an image without a version"
        assert tag not in ("latest", container["image"]), name


def test_every_container_is_bounded_and_harmless(overlay: list[Document]) -> None:
    for name, container in containers(overlay):
        for bound in ("requests", "limits"):
            assert {"cpu", "memory"} <= container["resources"][bound].keys(), name
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"]["drop"] == ["ALL"], name
        if name != "postgres":  # it writes beside its data
            assert security["readOnlyRootFilesystem"] is True, name
    for workload in workloads(overlay):
        spec = pod(workload)
        assert spec["automountServiceAccountToken"] is False, workload["metadata"]["name"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert "hostNetwork" not in spec


def test_every_port_that_is_used_is_declared(overlay: list[Document]) -> None:
    declared = {
        workload["metadata"]["name"]: {
            port["name"]
            for container in pod(workload)["containers"]
            for port in container.get("ports", [])
        }
        for workload in of(overlay, "Deployment", "StatefulSet")
    }
    for name, container in containers(overlay):
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = container.get(probe, {})
            port = (asked.get("httpGet") or asked.get("tcpSocket") or {}).get("port")
            assert port is None or port in declared[name], f"{name}: {probe} asks {port}"
    services = of(overlay, "Service")
    for service in services:
        selected = service["spec"]["selector"]["app.kubernetes.io/name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in declared[selected], service["metadata"]["name"]
    offered = {s["metadata"]["name"]: {p["name"] for p in s["spec"]["ports"]} for s in services}
    for ingress in of(overlay, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                behind = path["backend"]["service"]
                assert behind["port"]["name"] in offered[behind["name"]]


def test_live_and_ready_are_different_questions(overlay: list[Document]) -> None:
    for name in SERVICES:
        (container,) = pod(named(overlay, "Deployment", name))["containers"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


def test_the_ports_are_those_that_the_services_listen_on(production: list[Document]) -> None:
    for name in SERVICES:
        settings = import_module(f"{name.replace('-', '_')}.settings").Settings
        wanted = {
            field.default
            for field in msgspec.structs.fields(settings)
            if field.name.endswith("_port")
        }
        (container,) = pod(named(production, "Deployment", name))["containers"]
        assert {port["containerPort"] for port in container["ports"]} == wanted, name


def test_every_variable_is_one_that_some_service_reads(overlay: list[Document]) -> None:
    known = {"NATS_HOST", "NATS_SCHEME", "NATS_PASSWORD"}
    for name in SERVICES:
        settings = import_module(f"{name.replace('-', '_')}.settings").Settings
        known |= {field.name.upper() for field in msgspec.structs.fields(settings)}
    config = named(overlay, "ConfigMap", "trunkline")
    assert config["data"].keys() <= known
    for name in SERVICES:
        (container,) = pod(named(overlay, "Deployment", name))["containers"]
        assert {variable["name"] for variable in container["env"]} <= known


def test_what_a_service_requires_is_given(local: list[Document]) -> None:
    secrets = {s["metadata"]["name"]: set(s["data"]) for s in of(local, "Secret")}
    configured = set(named(local, "ConfigMap", "trunkline")["data"])
    for name in SERVICES:
        (container,) = pod(named(local, "Deployment", name))["containers"]
        given = configured | {variable["name"] for variable in container["env"]}
        for source in container["envFrom"]:
            if "secretRef" in source:
                given |= secrets[source["secretRef"]["name"]]
        settings = import_module(f"{name.replace('-', '_')}.settings").Settings
        required = {f.name.upper() for f in msgspec.structs.fields(settings) if f.required}
        assert required <= given, name


def test_secrets_are_in_no_configmap_and_not_in_production_at_all(
    local: list[Document], production: list[Document]
) -> None:
    assert of(production, "Secret") == []
    for document in (*of(local, "ConfigMap"), *of(production, "ConfigMap")):
        for value in document["data"].values():
            assert "PASSWORD=" not in value
            assert "://trunkline:" not in value


def test_grace_is_longer_than_the_drain(overlay: list[Document]) -> None:
    config = named(overlay, "ConfigMap", "trunkline")["data"]
    drains = {
        "ai-agent": int(config["AGENT_DRAIN_S"]),
        "stream-ingress": int(config["INGRESS_DRAIN_S"]) + LAST_WORDS_S,
    }
    for name in SERVICES:
        spec = pod(named(overlay, "Deployment", name))
        (container,) = spec["containers"]
        assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == PRESTOP_S
        needed = PRESTOP_S + drains.get(name, 10)
        assert spec["terminationGracePeriodSeconds"] > needed, name
    assert pod(named(overlay, "Deployment", "ai-agent"))["terminationGracePeriodSeconds"] >= 120


def test_a_rollout_never_takes_a_ready_pod_before_its_successor(overlay: list[Document]) -> None:
    for name in SERVICES:
        rolling = named(overlay, "Deployment", name)["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxUnavailable": 0, "maxSurge": 1}
        budget = named(overlay, "PodDisruptionBudget", name)["spec"]
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
        spread = pod(named(overlay, "Deployment", name))["topologySpreadConstraints"]
        assert spread[0]["topologyKey"] == "kubernetes.io/hostname"


def test_scaling_goes_by_calls_and_comes_down_slowly(production: list[Document]) -> None:
    config = named(production, "ConfigMap", "trunkline")["data"]
    slots = {"ai-agent": config["AGENT_SLOTS"], "stream-ingress": config["INGRESS_SLOTS"]}
    metrics = {"ai-agent": "trunkline_agent_calls", "stream-ingress": "trunkline_ingress_legs"}
    source = "".join(
        path.read_text("utf-8") for path in (ROOT / "services").glob("*/src/*/metrics.py")
    )
    for name, metric in metrics.items():
        spec = named(production, "ScaledObject", name)["spec"]
        assert spec["scaleTargetRef"]["name"] == name
        (trigger,) = spec["triggers"]
        assert metric in trigger["metadata"]["query"]
        assert f'"{metric}"' in source, "the metric that scales is one that the service has"
        assert int(trigger["metadata"]["threshold"]) < int(slots[name])
        down = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
        assert down["stabilizationWindowSeconds"] >= 600
        assert down["policies"][0] == {"type": "Pods", "value": 1, "periodSeconds": 300}
        deployment = named(production, "Deployment", name)
        assert "replicas" not in deployment["spec"], "the autoscaler's business"
        annotations = deployment["spec"]["template"]["metadata"]["annotations"]
        assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"


def test_the_edge_knows_only_the_paths_that_are_meant_for_it(production: list[Document]) -> None:
    voice = named(production, "Ingress", "voice")
    (rule,) = voice["spec"]["rules"]
    paths = [(p["path"], p["backend"]["service"]["name"]) for p in rule["http"]["paths"]]
    assert paths == [
        ("/twilio/media", "stream-ingress"),
        ("/browser/media", "stream-ingress"),
        ("/twilio/fallback.xml", "fallback"),
        ("/twilio/", "webhooks"),
    ]
    timeout = voice["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-read-timeout"]
    assert int(timeout) >= 4 * 3600
    hosts = {r["host"] for i in of(production, "Ingress") for r in i["spec"]["rules"]}
    secured = {h for i in of(production, "Ingress") for t in i["spec"]["tls"] for h in t["hosts"]}
    assert hosts == secured
    assert len(hosts) == 2


def test_policies_let_only_the_edge_in_and_only_two_services_out(
    production: list[Document],
) -> None:
    policies = {p["metadata"]["name"]: p["spec"] for p in of(production, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def chosen(name: str) -> set[str]:
        return set(policies[name]["podSelector"]["matchExpressions"][0]["values"])

    assert chosen("from-edge") == {"webhooks", "stream-ingress", "dashboard", "fallback"}
    assert chosen("to-internet") == {"webhooks", "ai-agent"}
    assert chosen("to-postgres") == {"tool-runner", "dashboard", "migrations"}
    assert chosen("to-nats") == {*SERVICES, *TOOLS}


def test_the_shipped_profiles_and_the_tools_they_name_are_there(overlay: list[Document]) -> None:
    profiles = named(overlay, "ConfigMap", "assistants")["data"]
    shipped = {file.name: file.read_text("utf-8") for file in (ROOT / "assistants").glob("*.toml")}
    assert profiles == shipped
    wanted = {tool for text in shipped.values() for tool in tomllib.loads(text).get("tools", [])}
    catalog = {tool.name for tool in import_module("tool_runner.todos.tools").CATALOG}
    others = wanted - catalog - import_module("ai_agent.builtin_tools").NAMES
    served = {name.removeprefix("tool-").replace("-", "_") for name in TOOLS}
    assert others == served
    for name in TOOLS:
        (container,) = pod(named(overlay, "Deployment", name))["containers"]
        url = next(v["value"] for v in container["env"] if v["name"] == "NATS_URL")
        assert url == "$(NATS_SCHEME)://tools:$(NATS_PASSWORD)@$(NATS_HOST):4222"
        secret = next(v for v in container["env"] if v["name"] == "NATS_PASSWORD")
        reference = secret["valueFrom"]["secretKeyRef"]
        assert reference["key"] == "tools"
        assert reference["name"].startswith("trunkline-nats")


def test_every_name_that_is_referred_to_is_there(local: list[Document]) -> None:
    there = {(d["kind"], d["metadata"]["name"]) for d in local}
    for workload in workloads(local):
        spec = pod(workload)
        wanted = (
            [("ServiceAccount", spec["serviceAccountName"])] if "serviceAccountName" in spec else []
        )
        for volume in spec.get("volumes", []):
            if "configMap" in volume:
                wanted.append(("ConfigMap", volume["configMap"]["name"]))
        for container in spec["containers"]:
            for source in container.get("envFrom", []):
                for kind, key in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
                    if key in source:
                        wanted.append((kind, source[key]["name"]))
            for variable in container.get("env", []):
                secret = variable.get("valueFrom", {}).get("secretKeyRef")
                if secret:
                    wanted.append(("Secret", secret["name"]))
        for reference in wanted:
            assert reference in there, f"{workload['metadata']['name']} refers to {reference}"


def test_nats_gets_its_configuration_and_a_password_for_every_user(
    local: list[Document], tmp_path: Path
) -> None:
    config = named(local, "ConfigMap", "nats-config")["data"]
    for name, text in config.items():
        (tmp_path / name).write_text(text, "utf-8")
    passwords = set(named(local, "Secret", "nats-passwords")["data"])
    binary = Path(sys.executable).parent / "nats-server"
    done = subprocess.run(
        [binary, "-t", "-c", tmp_path / "nats.conf"],
        capture_output=True,
        text=True,
        check=False,
        env={name: f"p{n}" for n, name in enumerate(sorted(passwords))},
    )
    assert done.returncode == 0, done.stderr
    users = set(named(local, "Secret", "trunkline-nats")["data"])
    assert set(SERVICES) <= users
    assert len(passwords) == len(users)
    for one, other in itertools.combinations(sorted(users), 2):
        data = named(local, "Secret", "trunkline-nats")["data"]
        assert data[one] != data[other], "every user has a password of its own"
