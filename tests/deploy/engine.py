"""A Docker engine for the tests of images and compose: its command line, or a skip that says why.

TEST_ENGINE=required turns the skip into a failure (`make compose-test`).
"""

import functools
import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
TOOLS = ("tool-opening-hours",)
HELPERS = ("migrations", "router", "testbed", *TOOLS)
VERSION = tomllib.loads((ROOT / "services/webhooks/pyproject.toml").read_text("utf-8"))["project"][
    "version"
]
USER = 10001


def image(name: str) -> str:
    """The image's name with its tag."""
    return f"trunkline/{name}:{VERSION}"


def run(*argv: str | Path, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
    """A command and what it printed; `extra` is added to its environment."""
    done = subprocess.run(
        [str(part) for part in argv],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | extra,
    )
    if check and done.returncode:
        said = f"{done.stdout[-3000:]}{done.stderr[-3000:]}"
        pytest.fail(f"{' '.join(str(part) for part in argv)}: {done.returncode}\n{said}")
    return done


def docker(*argv: str, check: bool = True) -> str:
    """A docker command's output."""
    return run("docker", *argv, check=check).stdout.strip()


@functools.cache
def _why_not() -> str:
    if shutil.which("docker") is None:
        return "no docker command on PATH"
    if run("docker", "version", check=False).returncode:
        return "no Docker engine answers"
    names = [*SERVICES, *HELPERS]
    missing = [
        n for n in names if run("docker", "image", "inspect", image(n), check=False).returncode
    ]
    return f"no image {image(missing[0])}: run `make images`" if missing else ""


@functools.cache
def _compose() -> tuple[str, ...]:
    if shutil.which("docker") and not run("docker", "compose", "version", check=False).returncode:
        return ("docker", "compose")
    return ("docker-compose",) if shutil.which("docker-compose") else ()


def needed() -> None:
    """Skip unless an engine answers and has our images."""
    _without(_why_not())


def compose() -> tuple[str, ...]:
    """The compose command, v2 or v1; skips where there is none."""
    needed()
    _without("" if _compose() else "neither `docker compose` nor docker-compose")
    return _compose()


def _without(reason: str) -> None:
    if reason and os.environ.get("TEST_ENGINE") == "required":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
