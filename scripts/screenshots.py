"""Pictures of every page of the desk, from the real system with real spoken calls.

``.venv/bin/python scripts/screenshots.py [folder]`` starts ``python -m testbed up`` on free ports,
lets simulated phones call it, and writes each page of testbed.desk_pages as NAME-light.png,
NAME-dark.png and NAME-narrow.png (360 px) into docs/screenshots. Needs Chromium.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from testbed.desk_pages import PAGES, DeskPage

ROOT = Path(__file__).parents[1]
READY_S = 120.0
CALLS_S = 180.0
LOOKS = {"light": (1280, "light"), "dark": (1280, "dark"), "narrow": (360, "light")}
HEIGHT = 800
LIVE = {"calls", "call", "phone"}
"""Pages that are pictured while calls go on."""
TODOS = (
    (0, "Call the dentist about Thursday"),
    (1, "Water the plants"),
    (2, "Send the figures to the accountant"),
    (2, "Book a table for four"),
    (4, "Pick up the parcel at the post office"),
    (12, "Renew the passport"),
)


class Site:
    """The running system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "up.log"
        with self._log.open("wb") as out:
            self._up = subprocess.Popen(  # noqa: S603 -- this repository's own
                [sys.executable, "-m", "testbed", "up", "--free-ports", "--data", folder / "run"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def ready(self) -> str:
        """Wait for it; the desk's address."""
        until(READY_S, lambda: "Ctrl-C stops everything." in self._said() or self._ended())
        facts: dict[str, Any] = msgspec.json.decode((self._folder / "run/system.json").read_bytes())
        return facts["dashboard_url"]

    def link(self) -> str:
        """The one-time link of the log-in that the start printed."""
        return next(word for word in self._said().split() if "/login#" in word)

    def call(self, count: int) -> subprocess.Popen[bytes]:
        """Simulated phones that call, all at once."""
        data = str(self._folder / "run")
        command = [sys.executable, "-m", "testbed", "call", "--data", data, "--count", str(count)]
        return subprocess.Popen(  # noqa: S603 -- the same
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        self._up.send_signal(signal.SIGINT)
        try:
            self._up.wait(60)
        finally:
            self._up.kill()

    def _said(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def _ended(self) -> bool:
        if self._up.poll() is not None:
            raise SystemExit(f"the system did not start:\n{self._said()}")
        return False


def until(within_s: float, check: Callable[[], Any]) -> Any:
    """What ``check`` gives, once it gives something."""
    deadline = time.monotonic() + within_s
    while not (found := check()):
        if time.monotonic() > deadline:
            raise SystemExit("the system is not as far as it should be by now")
        time.sleep(0.3)
    return found


def log_in(browser: Browser, url: str, link: str) -> Any:
    """The cookies of somebody who is logged in."""
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Log in with this link").click()
    page.wait_for_url(lambda at: "/login" not in at)
    return context.storage_state()


def plan(page: Page) -> str:
    """Todos of a caller beside those that the calls added; the caller's id."""
    page.goto("/planner")
    home = page.url.partition("?")[0]
    first = page.locator(".day").first.get_attribute("data-drop") or ""
    for days, words in TODOS:
        page.goto(f"{home}/new")
        page.get_by_label("What").fill(words)
        page.get_by_label("Day").fill(str(date.fromisoformat(first) + timedelta(days=days)))
        page.get_by_role("button", name="Add").click()
    return home.rpartition("/")[2]


class Album:
    """Takes the pictures: one browser profile a look."""

    def __init__(self, browser: Browser, url: str, state: Any, folder: Path) -> None:
        self._browser = browser
        self._url = url
        self._state = state
        self._folder = folder
        self.taken: list[Path] = []

    def take(self, pages: list[DeskPage], values: dict[str, str]) -> None:
        for look, (width, scheme) in LOOKS.items():
            inside = self._context(width, scheme, self._state)
            outside = self._context(width, scheme, None)
            for page in pages:
                self._one(outside if page.open_ else inside, page, look, values)
            inside.close()
            outside.close()

    def _context(self, width: int, scheme: Any, state: Any) -> BrowserContext:
        return self._browser.new_context(
            base_url=self._url,
            storage_state=state,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            reduced_motion="reduce",
        )

    def _one(
        self, context: BrowserContext, page: DeskPage, look: str, values: dict[str, str]
    ) -> None:
        address = page.at(**values)
        if address is None:
            sys.stdout.write(f"  {page.name}: left out, there is none\n")
            return
        shown = context.new_page()
        answer = shown.goto(address)
        if answer is None or not answer.ok:
            sys.stdout.write(f"  {page.name}: left out, {answer and answer.status}\n")
        else:
            shown.wait_for_timeout(600)  # clocks tick once, updates come
            file = self._folder / f"{page.name}-{look}.png"
            shown.screenshot(path=file)
            self.taken.append(file)
        shown.close()


def picture(site: Site, folder: Path) -> list[Path]:
    url = site.ready()
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        state = log_in(browser, url, site.link())
        context = browser.new_context(base_url=url, storage_state=state)
        page = context.new_page()

        def calls() -> list[dict[str, Any]]:
            return page.request.get("/board.json").json()["calls"]

        site.call(2).wait(CALLS_S)
        until(CALLS_S, lambda: all(one["phase"] == "ended" for one in calls()))
        caller = plan(page)
        talk = site.call(3)
        busy = until(
            CALLS_S,
            lambda: [one for one in calls() if one["phase"] == "active" and one["tools"]],
        )
        album = Album(browser, url, state, folder)
        values = {"call": busy[0]["call_id"], "ended": calls()[-1]["call_id"], "caller": caller}
        pictured = [one for one in PAGES if one.pictured]
        album.take([one for one in pictured if one.name in LIVE], values)
        talk.wait(CALLS_S)
        album.take([one for one in pictured if one.name not in LIVE], values)
        browser.close()
    return album.taken


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    # Not under a private folder: PostgreSQL runs as another user under root.
    data = Path(tempfile.mkdtemp(prefix="trunkline-pictures-"))
    data.chmod(0o711)
    site = Site(data)
    try:
        taken = picture(site, folder)
    finally:
        site.stop()
        shutil.rmtree(data, ignore_errors=True)
    size = sum(file.stat().st_size for file in taken)
    sys.stdout.write(f"{len(taken)} pictures in {folder}, {size // 1024} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
