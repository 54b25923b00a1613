"""Every page in light and dark, wide and narrow: axe finds nothing serious, nothing scrolls
sideways, and no page breaks a rule of the content policy or fails in a script.
"""

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from desk_records import Records
from playwright.sync_api import Browser, Page

from testbed.desk_pages import PAGES, DeskPage

AXE = Path(__file__).parent / "vendor/axe.min.js"
NARROW = 360
SEVERE = ("serious", "critical")
FINDS = """async () => {
  const found = await window.axe.run(document, { resultTypes: ["violations"] });
  return found.violations.map((one) => ({
    rule: one.id, impact: one.impact, help: one.help,
    nodes: one.nodes.slice(0, 5).map((node) => `${node.target} ${node.any.map((a) => a.message)}`),
  }));
}"""


@pytest.fixture(scope="module")
def told(system: Any) -> dict[str, str]:
    """What stands in the addresses: a call that was spoken, and a caller with todos."""
    ann = Records(system.facts["nats_url"]).caller()
    for n in range(4):
        ann.add(f"todo {n}", n * 3)
    ann.tick(ann.add("done already"))
    ann.add("overdue", -3)
    done = subprocess.run(
        [sys.executable, "-m", "testbed", "call", "--data", str(Path(system.log).parent / "run")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {"caller": ann.id}


@pytest.fixture(scope="module", params=["light", "dark"])
def look(request: pytest.FixtureRequest, browser: Browser, system: Any) -> Iterator[Page]:
    """A logged-in page in one of the two looks, with axe in it."""
    context = browser.new_context(base_url=system.url, color_scheme=request.param)
    context.set_default_timeout(20_000)
    context.add_init_script(path=AXE)
    page = context.new_page()
    page.goto(system.link())
    page.get_by_role("button", name="Log in with this link").click()
    page.wait_for_url(lambda url: "/login" not in url)
    yield page
    context.close()


@pytest.mark.parametrize("width", [1280, NARROW])
@pytest.mark.parametrize("shown", PAGES, ids=lambda one: one.name)
def test_a_page_is_accessible_and_fits(
    shown: DeskPage, width: int, look: Page, told: dict[str, str]
) -> None:
    problems: list[str] = []
    heard = functools.partial(_hear, problems)
    fails = functools.partial(_failed, problems)
    look.on("console", heard)
    look.on("pageerror", fails)
    try:
        look.set_viewport_size({"width": width, "height": 800})
        address = shown.at(**told, **_calls(look))
        assert address is not None
        answer = look.goto(address)
        assert answer is not None
        if shown.optional and answer.status == 404:
            pytest.skip("it is turned off here")
        assert answer.status == 200
        found = look.evaluate(FINDS)
        assert [one for one in found if one["impact"] in SEVERE] == []
        if width == NARROW:
            assert look.evaluate("() => document.documentElement.scrollWidth") == NARROW
    finally:
        look.remove_listener("console", heard)
        look.remove_listener("pageerror", fails)
    assert problems == []


def _calls(page: Page) -> dict[str, str]:
    """A call of the board, for the pages of one that goes on and of one that is over."""
    calls = page.request.get("/board.json").json()["calls"]
    assert calls, "a call was made before"
    return {"call": calls[0]["call_id"], "ended": calls[-1]["call_id"]}


def _hear(problems: list[str], said: Any) -> None:
    if said.type == "error" and not said.text.startswith(("Failed to load", "[object Event]")):
        problems.append(said.text)


def _failed(problems: list[str], error: Any) -> None:
    problems.append(str(error))
