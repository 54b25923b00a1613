"""The desk in Chromium: one system of `python -m testbed up` for the session, a browser, and pages
that must run without an error of a script or of the content policy.

Everything here is synchronous, and the system is a process of its own: Playwright's loop and that
of the other layers do not meet.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

REPOSITORY = Path(__file__).parents[2]
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""The machine's own; without one, Playwright's."""
READY_S = 120.0
PATIENCE_MS = 20_000
"""The bound of every wait in a page: for a hung test only."""
TOKEN = "a-token-of-machines-at-the-desk"


@dataclass(frozen=True)
class System:
    """The running system, as `system.json` tells it: desk, database, webhooks, NATS."""

    url: str
    facts: dict[str, Any]
    log: Path

    def link(self, name: str = "admin", role: str = "admin") -> str:
        """A one-time link for an operator, who is made if need be."""
        said = self.add_operator(name, "--role", role)
        return next(line for line in said.splitlines() if "/login#" in line)

    def add_operator(self, *arguments: str, typed: str = "") -> str:
        """What the command prints. `typed` goes to its standard input."""
        done = subprocess.run(
            [sys.executable, "-m", "dashboard.add_operator", *arguments],
            env=environment()
            | {"DATABASE_URL": self.facts["database_url"], "DASHBOARD_URL": self.url},
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def environment() -> dict[str, str]:
    return {name: os.environ[name] for name in KEPT if name in os.environ}


@pytest.fixture(scope="session")
def system() -> Iterator[System]:
    # Not under pytest's private folders: PostgreSQL runs as another user under root.
    folder = Path(tempfile.mkdtemp(prefix="trunkline-browser-"))
    folder.chmod(0o711)
    log = folder / "up.log"
    with log.open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "testbed", "up", "--free-ports", "--data", folder / "run"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment() | {"DASHBOARD_TOKEN": TOKEN},
            cwd=REPOSITORY,
        )
    try:
        deadline = time.monotonic() + READY_S
        while "Ctrl-C stops everything." not in (said := log.read_text("utf-8", "replace")):
            assert up.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        facts = json.loads((folder / "run" / "system.json").read_text())
        yield System(facts["dashboard_url"], facts, log)
    finally:
        up.send_signal(signal.SIGINT)
        try:
            up.wait(60)
        finally:
            up.kill()
            shutil.rmtree(folder, ignore_errors=True)


Launch = Callable[..., Browser]


@pytest.fixture(scope="session")
def launch() -> Iterator[Launch]:
    """Starts a Chromium: `launch("--a-flag", ...)`."""
    with sync_playwright() as playwright:
        launched: list[Browser] = []

        def start(*flags: str) -> Browser:
            chromium = playwright.chromium.launch(
                executable_path=CHROMIUM,
                # A root's Chromium has no sandbox; microphones are given by flags alone.
                args=["--no-sandbox", "--use-fake-ui-for-media-stream", *flags],
            )
            launched.append(chromium)
            return chromium

        yield start
        for chromium in launched:
            chromium.close()


@pytest.fixture(scope="session")
def browser(launch: Launch) -> Browser:
    return launch()


NewPage = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser, system: System) -> Iterator[NewPage]:
    """Opens a page in a browser profile of its own: `new_page(javascript=False, width=360)`;
    `chromium` is another browser of `launch`.

    At the end of the test no page may have had an error.
    """
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def open_(
        *,
        javascript: bool = True,
        width: int = 1280,
        dark: bool = False,
        chromium: Browser | None = None,
    ) -> Page:
        context = (chromium or browser).new_context(
            base_url=system.url,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
        )
        contexts.append(context)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda said: problems.append(said.text) if is_problem(said.type, said.text) else None,
        )
        return page

    yield open_
    for context in contexts:
        context.close()
    assert problems == []


def is_problem(kind: str, text: str) -> bool:
    """Is a console message an error of ours? Meant are answers like 422 and 401, of which the
    browser says there too, and the end of an update stream, of which htmx does.
    """
    return kind == "error" and not text.startswith(("Failed to load resource", "[object Event]"))


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A page that is not logged in."""
    return new_page()


Enter = Callable[[Page, str], None]


@pytest.fixture
def enter() -> Enter:
    """Follows a one-time link to its end."""

    def follow(page: Page, link: str) -> None:
        page.goto(link)
        page.get_by_role("button", name="Log in with this link").click()
        page.wait_for_url(lambda url: "/login" not in url)

    return follow


@pytest.fixture
def desk(page: Page, system: System, enter: Enter) -> Page:
    """A page of an admin who is logged in, at the first page."""
    enter(page, system.link())
    return page
