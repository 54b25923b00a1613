"""docker-compose.yml: what it promises, read from the file; and the whole system really brought up
with it, one spoken call from the simulated phone through the router, its todo in PostgreSQL, and a
stop in time. The latter needs an engine and `make images`.
"""

import os
import re
import secrets
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import engine
import msgspec
import pytest
import yaml
from engine import HELPERS, ROOT, SERVICES, TOOLS, USER, docker

from testbed.ports import free_ports

FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
CONTAINERS: dict[str, Any] = FILE["services"]
OURS = {name: made for name, made in CONTAINERS.items() if made["image"].startswith("trunkline/")}
DEMO = ROOT / "deploy/compose/demo.env"
NOT_OF_A_CONTAINER = {
    # fixed by the file or the image
    *("ASSISTANTS_DIR", "SPEAKER_PROMPTS_DIR"),
    *("NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY"),
    *("WEBHOOKS_HOST", "INGRESS_HOST", "INGRESS_NAME", "AGENT_WORKER", "TOOL_RUNNER_NAME"),
}
"""Settings that compose does not pass on, with all ports."""
UP_S = 300
LAST_WORDS_S = 15


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+)s", text)
    assert found, text
    return int(found[1])


def settings(service: str) -> dict[str, Any]:
    """Variable -> default."""
    kind = import_module(f"{service.replace('-', '_')}.settings").Settings
    return {field.name.upper(): field.default for field in msgspec.structs.fields(kind)}


# -- the file


def test_every_image_is_one_version() -> None:
    assert {name for name in OURS if name not in ("model", "phone")} == {
        *SERVICES, *HELPERS
    } - {"testbed"}  # fmt: skip
    for made in OURS.values():
        assert made["image"].endswith(f":${{TRUNKLINE_VERSION:-{engine.VERSION}}}")
        assert "build" in made, "`up` on a fresh clone builds what is missing"
    for name in CONTAINERS.keys() - OURS.keys():
        assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[a-z]+:[0-9][\w.-]*\}", CONTAINERS[name]["image"])


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_can_be_set_and_nothing_else_is(service: str) -> None:
    passed = set(CONTAINERS[service]["environment"])
    known = set(settings(service))
    assert passed - known == set(), "not a setting of the service"
    fixed = {name for name in known if name.endswith("_PORT")} | NOT_OF_A_CONTAINER
    assert known - passed - fixed == set(), "add it to docker-compose.yml"


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_has_few_rights(name: str) -> None:
    made = CONTAINERS[name]
    assert made["read_only"] is True
    assert made["cap_drop"] == ["ALL"]
    assert made["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in made
    assert made["mem_limit"]
    if name != "postgres":
        assert "cap_add" not in made


def test_only_loopback_is_published() -> None:
    published = {n: made["ports"] for n, made in CONTAINERS.items() if "ports" in made}
    assert set(published) == {"nats", "dashboard", "router"}
    for ports in published.values():
        assert all(re.fullmatch(r"\$\{[A-Z]+_LISTEN:-127\.0\.0\.1:\d+\}:\d+", p) for p in ports)


def test_only_what_needs_tables_reaches_the_database() -> None:
    assert FILE["networks"]["database"]["internal"] is True
    there = {n for n, made in CONTAINERS.items() if "database" in made.get("networks", [])}
    assert there == {"postgres", "migrations", "tool-runner", "dashboard"}
    named = {n for n, made in CONTAINERS.items() if "DATABASE_URL" in made.get("environment", {})}
    assert named == there - {"postgres"}


def test_a_stop_leaves_time_for_the_drain() -> None:
    grace = {name: seconds(CONTAINERS[name]["stop_grace_period"]) for name in SERVICES}
    ingress = CONTAINERS["stream-ingress"]["environment"]["INGRESS_DRAIN_S"]
    (drain,) = re.findall(r":-(\d+)\}", ingress)
    assert grace["stream-ingress"] >= int(drain) + LAST_WORDS_S
    assert grace["ai-agent"] >= settings("ai-agent")["AGENT_DRAIN_S"] + LAST_WORDS_S
    router = (ROOT / "deploy/images/router.conf").read_text("utf-8")
    (finish,) = re.findall(r"worker_shutdown_timeout (\d+)s;", router)
    assert int(drain) < int(finish) < seconds(CONTAINERS["router"]["stop_grace_period"])


def test_what_a_call_needs_is_stopped_after_it() -> None:
    """Compose stops dependents before what they depend on."""

    def below(name: str) -> set[str]:
        direct = set(CONTAINERS[name].get("depends_on", {}))
        return direct.union(*(below(each) for each in direct))

    needs = {"router", "webhooks", "ai-agent", "tool-runner", "nats", "postgres"}
    assert needs <= below("stream-ingress")


def test_what_others_wait_for_has_a_health_check() -> None:
    for made in CONTAINERS.values():
        for name, wait in made.get("depends_on", {}).items():
            if name == "migrations":
                assert wait == {"condition": "service_completed_successfully"}
            else:
                assert wait == {"condition": "service_healthy"}
                assert name in SERVICES or CONTAINERS[name]["healthcheck"]["test"][0] == "CMD"


def test_the_tools_that_shipped_profiles_name_are_there() -> None:
    """tool-runner's own, and those of the tool services."""
    named = {
        tool
        for file in (ROOT / "assistants").glob("*.toml")
        for tool in tomllib.loads(file.read_text("utf-8")).get("tools", [])
    }
    catalog = {tool.name for tool in import_module("tool_runner.todos.tools").CATALOG}
    of_services = {
        CONTAINERS[name]["build"]["args"]["TOOL"] for name in TOOLS if name in CONTAINERS
    }
    assert named - import_module("ai_agent.builtin_tools").NAMES - catalog == of_services
    for name in TOOLS:
        url = CONTAINERS[name]["environment"]["NATS_URL"]
        assert url == "nats://tools:${NATS_TOOLS_PASSWORD:-trunkline-dev}@nats:4222"


def test_every_user_of_nats_has_its_own_password() -> None:
    users = (ROOT / "deploy/nats/users.conf").read_text("utf-8")
    wanted = set(re.findall(r"\$(NATS_\w+_PASSWORD)", users))
    assert len(wanted) >= len(SERVICES)
    assert wanted == set(CONTAINERS["nats"]["environment"])
    for service in SERVICES:
        variable = f"NATS_{service.upper().replace('-', '_')}_PASSWORD"
        url = CONTAINERS[service]["environment"]["NATS_URL"]
        assert url == f"nats://{service}:${{{variable}:-trunkline-dev}}@nats:4222"


def test_made_up_passwords_are_those_that_compose_reads() -> None:
    script = ROOT / "deploy/compose/passwords.sh"
    made = dict(line.split("=", 1) for line in engine.run(script).stdout.splitlines())
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert set(made) == set(re.findall(r"\b(?:\w+_PASSWORD|STREAM_TOKEN_SECRET)(?=:[-?])", text))
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch(r"[A-Za-z0-9]{24,}", value) for value in made.values())


# -- the system


@dataclass(frozen=True)
class Up:
    """A system that compose runs."""

    project: str
    command: tuple[str, ...]
    environment: dict[str, str]
    router: str
    desk: str

    def compose(self, *argv: str) -> str:
        return engine.run(*self.command, *argv, **self.environment).stdout

    def container(self, service: str) -> str:
        """Its id, also after it ended. Labels are the same in v1 and v2."""
        labels = {"project": self.project, "service": service, "oneoff": "False"}
        only = [f"--filter=label=com.docker.compose.{key}={text}" for key, text in labels.items()]
        (found,) = docker("ps", "-a", "-q", "--no-trunc", *only).split()
        return found

    def state(self, service: str, what: str) -> str:
        return docker("inspect", "-f", f"{{{{{what}}}}}", self.container(service))

    def logs(self, service: str) -> str:
        done = engine.run("docker", "logs", self.container(service), check=False)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """The system with the profile `demo`; it goes with its data."""
    command = engine.compose()
    project = f"trunkline-test-{secrets.token_hex(4)}"
    router, desk, nats = (f"127.0.0.1:{port}" for port in free_ports(3))
    system = Up(
        project,
        (*command, "-p", project, "--env-file", str(DEMO), "--profile", "demo"),
        {"ROUTER_LISTEN": router, "DESK_LISTEN": desk, "NATS_LISTEN": nats}
        | {"TRUNKLINE_VERSION": engine.VERSION, "DASHBOARD_URL": f"http://{desk}"},
        f"http://{router}",
        f"http://{desk}",
    )
    try:
        system.compose("up", "-d", "--no-build")
        yield system
    finally:
        argv = (*system.command, "down", "-v", "--timeout", "10")
        subprocess.run(argv, cwd=ROOT, capture_output=True, check=False,
                       env=os.environ | system.environment)  # fmt: skip


pytestmark = pytest.mark.timeout(UP_S + 120)


def test_a_call_passes_and_leaves_its_todo(up: Up) -> None:
    phone = up.container("phone")
    ended = subprocess.run(
        ["docker", "wait", phone], capture_output=True, text=True, check=True, timeout=UP_S
    )
    said = up.logs("phone")
    assert ended.stdout.strip() == "0", said
    assert "Every step of the call happened." in said
    query = (
        "select t.description, t.completed_at is not null from todos t"
        " join callers c using (caller_id) where c.number = '+15550110000'"
    )
    psql = ("psql", "-U", "trunkline", "-d", "trunkline", "-At", "-c", query)
    rows = docker("exec", up.container("postgres"), *psql)
    assert rows == "water the plants|t"


def test_nobody_did_what_their_nats_user_may_not(up: Up) -> None:
    assert "Violation" not in up.logs("nats")
    assert "Traceback" not in up.logs("tool-opening-hours")
    for service in SERVICES:
        assert "Traceback" not in up.logs(service)


def test_the_router_leads_to_the_services_and_nowhere_else(up: Up) -> None:
    assert _asked(up.router, "/twilio/voice", b"CallSid=CA1") == 403, "unsigned"
    assert _asked(up.router, "/twilio/media", None) != 200
    assert _asked(up.router, "/twilio/fallback.xml", b"") == 200
    for nothing in ("/", "/metrics", "/readyz", "/twilio", "/calls"):
        assert _asked(up.router, nothing, None) == 404


def test_the_front_desks_tool_answers(up: Up) -> None:
    """Asked as an agent asks it, through the permissions of its user."""
    ask = (
        "import asyncio,os,nats\n"
        "async def main():\n"
        "    c = await nats.connect(os.environ['NATS_URL'], inbox_prefix='_INBOX.ai-agent')\n"
        "    r = await c.request('tools.opening_hours', b'{\"day\":\"today\"}', timeout=5)\n"
        "    print(r.data.decode())\n"
        "asyncio.run(main())\n"
    )
    said = docker("exec", up.container("ai-agent"), "python", "-c", ask)
    assert '"spoken"' in said


def test_the_doctors_inside_find_what_the_demo_lacks_and_nothing_else(up: Up) -> None:
    """Its public address and its number's account are made up; all the rest must be right."""
    script, command = ROOT / "deploy/compose/doctor.sh", " ".join(up.command)
    done = engine.run(script, "--json", check=False, COMPOSE=command, **up.environment)
    reports = [msgspec.json.decode(line) for line in done.stdout.splitlines()]
    assert [report["service"] for report in reports] == [
        "webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard"
    ]  # fmt: skip
    wrong = {
        (report["service"], found["check"])
        for report in reports
        for found in report["findings"]
        if found["verdict"] == "wrong"
    }
    assert wrong == {("webhooks", c) for c in ("twilio", "public url", "media socket")}
    assert done.returncode == 1


def test_the_desk_shows_itself(up: Up) -> None:
    assert _asked(up.desk, "/", None) == 200


@pytest.mark.parametrize("service", [*SERVICES, "router", "model"])
def test_a_running_container_is_locked_down_and_well(up: Up, service: str) -> None:
    _healthy(up, service)
    assert up.state(service, ".HostConfig.ReadonlyRootfs") == "true"
    assert up.state(service, ".HostConfig.CapDrop") == "[ALL]"
    inside = (
        "sed -n 's/^Uid:[[:space:]]*\\([0-9]*\\).*/\\1/p; s/^CapEff:[[:space:]]*//p' /proc/1/status"
    )
    who, rights = docker("exec", up.container(service), "sh", "-c", inside).split()
    assert who == str(USER)
    assert int(rights, 16) == 0
    touched = engine.run("docker", "exec", up.container(service), "touch", "/made", check=False)
    assert "Read-only file system" in touched.stderr


def test_migrations_came_to_an_end_and_are_repeatable(up: Up) -> None:
    assert up.state("migrations", ".State.ExitCode") == "0"
    container = up.container("migrations")
    docker("start", "-a", container)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "0"


def test_every_service_ends_by_itself_when_asked(up: Up) -> None:
    """Last: it stops what the others use. Code 0, not 137: the signal arrived and was obeyed."""
    containers = {
        name: up.container(name) for name in [*SERVICES, *TOOLS, "router", "nats", "postgres"]
    }
    up.compose("stop")
    codes = {
        name: docker("inspect", "-f", "{{.State.ExitCode}}", container)
        for name, container in containers.items()
    }
    # nats-server ends with 1 on SIGTERM, PostgreSQL with 0 on its own stop signal.
    assert codes.pop("nats") in ("0", "1")
    assert codes == dict.fromkeys(codes, "0")
    for service in SERVICES:
        logs = engine.run("docker", "logs", containers[service])
        assert "service stopped" in logs.stdout + logs.stderr
    down = docker("ps", "-a", "-q", "--filter", f"id={containers['ai-agent']}")
    assert down, "stopped, not yet removed"
    up.compose("down", "-v")
    assert docker("ps", "-a", "-q", "--filter", f"id={containers['ai-agent']}") == ""


def _healthy(up: Up, service: str) -> None:
    deadline = time.monotonic() + UP_S
    while up.state(service, ".State.Health.Status") != "healthy":
        if time.monotonic() > deadline:
            pytest.fail(f"{service} never became healthy: {up.logs(service)[-2000:]}")
        time.sleep(0.5)


def _asked(base: str, path: str, data: bytes | None) -> int:
    try:
        with urllib.request.urlopen(base + path, data=data, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
