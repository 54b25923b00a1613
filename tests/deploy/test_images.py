"""The images: what their Dockerfiles may say, and what was really built: a user without rights, a
read-only root, only what the service needs, signals that arrive. The latter needs an engine and
`make images`.
"""

import importlib.util
import os
import re
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import engine
import msgspec
import pytest
from engine import HELPERS, ROOT, SERVICES, TOOLS, USER, docker, image

DOCKERFILES = [ROOT / "Dockerfile", *sorted((ROOT / "deploy/images").glob("*.Dockerfile"))]
LOCKED_DOWN = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")
LISTED = (
    "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in"
    " m.distributions(path=[next(p for p in __import__('sys').path if 'site-packages' in p)])))"
)
NOWHERE = (
    *("-e", "NATS_URL=nats://127.0.0.1:1"),
    *("-e", "DATABASE_URL=postgresql://u:p@127.0.0.1:1/d"),
)
"""What the desk must be given, leading to nobody."""
PATIENCE_S = 60.0
NATS_IMAGE = os.environ.get("NATS_IMAGE", "nats:2.15-alpine")
Start = Callable[..., str]

# What belongs to one service alone is in no other's image.
NOT_IN = {
    "webhooks": {"openai", "asyncpg", "testbed", "opentelemetry-sdk"},
    "stream-ingress": {"openai", "asyncpg", "testbed", "opentelemetry-sdk"},
    "ai-agent": {"twilio", "asyncpg", "testbed", "opentelemetry-sdk", "espeakng-loader"},
    "tool-runner": {"openai", "twilio", "testbed", "opentelemetry-sdk"},
    "dashboard": {"openai", "twilio", "testbed", "opentelemetry-sdk"},
}


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / f"deploy/images/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# -- the files


def test_there_is_a_file_for_every_helper() -> None:
    files = {file.stem for file in DOCKERFILES[1:]}
    assert files == (set(HELPERS) - set(TOOLS)) | {"tool"}, "one file makes every tool"


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.name)
def test_a_dockerfile_is_one_that_every_builder_knows_and_gives_rights_up(file: Path) -> None:
    text = file.read_text("utf-8")
    for needs_buildkit in ("# syntax=", "--mount", "--link", "--chmod", "<<"):
        assert needs_buildkit not in text
    assert ":latest" not in text
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert bases
    assert set(bases) <= {"${PYTHON_IMAGE}", "${DEBIAN_IMAGE}"}, "bases are arguments"
    assert re.findall(r"^USER (.*)", text, re.MULTILINE) == [f"{USER}:{USER}"]
    (entry,) = re.findall(r"^ENTRYPOINT (.*)", text, re.MULTILINE)
    assert isinstance(msgspec.json.decode(entry), list), "a shell in between would eat signals"


@pytest.mark.parametrize("name", ["migrate", "router"])
def test_a_script_ends_as_the_program_it_starts(name: str) -> None:
    text = (ROOT / f"deploy/images/{name}.sh").read_text("utf-8")
    assert text.startswith("#!/bin/sh\n")
    assert re.search(r"^set -eu$", text, re.MULTILINE)


def test_the_health_check_asks_the_port_of_the_settings() -> None:
    known = script("healthcheck").ADMIN_PORTS
    assert set(known) == set(SERVICES)
    for service, (variable, port) in known.items():
        kind = import_module(f"{service.replace('-', '_')}.settings").Settings
        defaults = {field.name: field.default for field in msgspec.structs.fields(kind)}
        assert defaults[variable.lower()] == port


def test_the_fallback_document_is_twiml_that_needs_nobody() -> None:
    root = ElementTree.fromstring((ROOT / "deploy/images/fallback.xml").read_text("utf-8"))
    assert root.tag == "Response"
    assert [verb.tag for verb in root] == ["Say", "Hangup"]
    assert root[0].text


# -- the images


@pytest.fixture(scope="module")
def built() -> None:
    engine.needed()


@pytest.fixture
def start(built: None) -> Iterator[Start]:
    """Starts a locked-down container in the background and removes it after the test."""
    names: list[str] = []

    def run(name: str, *options: str, command: tuple[str, ...] = ()) -> str:
        container = f"trunkline-test-{secrets.token_hex(4)}"
        names.append(container)
        docker("run", "-d", "--name", container, *LOCKED_DOWN, *options, image(name), *command)
        return container

    yield run
    for name in names:
        docker("rm", "-f", "-v", name, check=False)


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("name", [*SERVICES, *HELPERS])
def test_an_image_runs_without_rights(name: str) -> None:
    made = msgspec.json.decode(docker("image", "inspect", image(name)))[0]["Config"]
    assert made["User"] == f"{USER}:{USER}"
    assert isinstance(made["Entrypoint"], list)
    assert not any("TOKEN" in line or "SECRET" in line or "KEY" in line for line in made["Env"])
    probe = "id -u; touch /made-here && echo writable; touch /tmp/made-here && echo temporary"
    entry = ("--entrypoint", "/bin/sh")
    said = docker("run", "--rm", *LOCKED_DOWN, *entry, image(name), "-c", probe)
    assert said.split() == [str(USER), "temporary"]


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_what_its_service_needs_as_locked_and_no_more(service: str) -> None:
    run = ("run", "--rm", "--entrypoint", "python", image(service), "-c", LISTED)
    found = dict(line.split("==") for line in docker(*run).lower().replace("_", "-").split())
    lock = (ROOT / "requirements.lock").read_text("utf-8").lower().replace("_", "-")
    pins = dict(re.findall(r"^([a-z0-9.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock, re.MULTILINE))
    ours = {"protocol", "runtime", service}
    assert ours <= set(found)
    assert found.keys() & NOT_IN[service] == set()
    assert {n: v for n, v in found.items() if n not in ours and pins.get(n) != v} == {}


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_what_it_lacks(service: str) -> None:
    done = engine.run("docker", "run", "--rm", *LOCKED_DOWN, "-e", "NATS_URL=nats://127.0.0.1:1",
                      "-e", "STARTUP_WAIT_S=1", image(service), check=False)  # fmt: skip
    assert done.returncode == 2
    assert " is not set: " in done.stderr


def test_a_service_says_what_it_waited_for(start: Start) -> None:
    container = start("dashboard", *NOWHERE, "-e", "STARTUP_WAIT_S=1")
    docker("wait", container)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "1"
    done = engine.run("docker", "logs", container)
    assert "gave up after 1 s" in done.stdout + done.stderr


def test_sigterm_reaches_the_service(start: Start) -> None:
    container = start("dashboard", *NOWHERE, "-e", "STARTUP_WAIT_S=0")
    _until(lambda: '"waiting"' in engine.run("docker", "logs", container).stderr, "it waits")
    docker("stop", "-t", "60", container)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "0"


@pytest.mark.usefixtures("built")
def test_a_tool_holds_its_client_and_nothing_of_ours() -> None:
    run = ("run", "--rm", "--entrypoint", "python", image(TOOLS[0]), "-c", LISTED)
    found = dict(line.split("==") for line in docker(*run).lower().split())
    assert found.keys() == {"nats-py", "tzdata"}


def test_sigterm_reaches_a_tool_and_it_ends_well(start: Start, nats_beside: str) -> None:
    container = start(TOOLS[0], "--network", f"container:{nats_beside}")
    _until(lambda: "tools.opening_hours" in _subscriptions(nats_beside), "it serves its tool")
    docker("stop", "-t", "60", container)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "0"


def test_the_health_check_tells_not_ready(start: Start) -> None:
    container = start("dashboard", *NOWHERE, "-e", "STARTUP_WAIT_S=0")
    test = msgspec.json.decode(docker("image", "inspect", image("dashboard")))[0]["Config"]
    check = test["Healthcheck"]["Test"]
    assert check[0] == "CMD"

    def said() -> str:
        return engine.run("docker", "exec", container, *check[1:], check=False).stdout

    _until(lambda: "starting" in said(), "it is asked")
    assert engine.run("docker", "exec", container, *check[1:], check=False).returncode == 1


def test_the_router_alone_serves_the_fallback_and_nothing_else(start: Start) -> None:
    container = start("router", "-p", "127.0.0.1::8000", "--user", "10001:10001")
    base = f"http://{docker('port', container, '8000/tcp').splitlines()[0]}"
    _until(lambda: _asked(base, "/twilio/fallback.xml", None)[0] == 200, "it serves")
    for data in (None, b"CallSid=CA1"):  # GET, and POST as Twilio does by default
        status, kind, body = _asked(base, "/twilio/fallback.xml", data)
        assert (status, kind) == (200, "text/xml")
        assert body == (ROOT / "deploy/images/fallback.xml").read_bytes()
    assert _asked(base, "/twilio/voice", b"")[0] == 502
    assert _asked(base, "/", None)[0] == 404
    assert _asked(base, "/metrics", None)[0] == 404
    assert _asked(base, "/twilio", None)[0] == 404, "no redirect"
    assert _asked(base, "/twilio/../metrics", None)[0] == 404
    docker("stop", "-t", "60", container)
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container) == "0"


@pytest.fixture
def nats_beside(built: None) -> Iterator[str]:
    """A NATS server in a container, whose network others may join; its name."""
    name = f"trunkline-test-{secrets.token_hex(4)}"
    docker("run", "-d", "--name", name, NATS_IMAGE, "-m", "8222")
    yield name
    docker("rm", "-f", "-v", name, check=False)


def _subscriptions(nats: str) -> str:
    """What clients of the server subscribe to, by its monitoring page."""
    page = "http://127.0.0.1:8222/subsz?subs=1"
    return engine.run("docker", "exec", nats, "wget", "-q", "-O", "-", page, check=False).stdout


def _asked(base: str, path: str, data: bytes | None) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(base + path, data=data, timeout=10) as answer:
            return answer.status, answer.headers.get_content_type(), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", b""
    except OSError:
        return 0, "", b""


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"never happened: {what}")
        time.sleep(0.2)
