"""The live board and the score in Chromium, over made-up calls that go on by themselves
(`scripts/preview_desk.py`): what only scripts do, and what works without them.
"""

import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from testbed.ports import free_port

REPOSITORY = Path(__file__).parents[2]
READY_S = 60.0
PATIENCE_MS = 20_000
WHOLE = f"/calls/CA{999:032x}"
"""The call with everything on its score; it goes on."""
SHOWN = ".call:not([hidden])"

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def preview() -> Iterator[str]:
    """Where the calls are shown."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / "scripts/preview_desk.py", str(port), "30"], cwd=REPOSITORY
    )
    try:
        deadline = time.monotonic() + READY_S
        while True:
            assert process.poll() is None, "the preview ended"
            assert time.monotonic() < deadline, "the preview does not answer"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/board.json", timeout=10).close()
                break
            except urllib.error.URLError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def open_page(browser: Browser, preview: str) -> Iterator[Open]:
    """Opens an address in a profile of its own; no page may say that anything is wrong."""
    problems: list[str] = []
    pages: list[Page] = []

    def open_(path: str, *, javascript: bool = True, width: int = 1280, dark: bool = False) -> Page:
        context = browser.new_context(
            base_url=preview,
            java_script_enabled=javascript,
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on(
            "console",
            lambda said: problems.append(said.text) if said.type in {"error", "warning"} else None,
        )
        pages.append(page)
        page.goto(path)
        return page

    yield open_
    for page in pages:
        page.context.close()
    assert problems == []


def changes(page: Page, look: str) -> None:
    """Wait until ``look`` (an expression) gives something else than now."""
    before = page.evaluate(look)  # an arrow function below: the page's policy allows no eval
    page.wait_for_function(
        f"(before) => JSON.stringify({look}) !== JSON.stringify(before)", arg=before
    )


WORDS = "[...document.querySelectorAll('.call .words')].map((e) => e.textContent)"
WINDOW = (
    "[document.getElementById('score').dataset.from, document.getElementById('score').dataset.to]"
)


@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path", ["/", WHOLE, f"{WHOLE}/events"])
def test_pages_fit_their_window(open_page: Open, path: str, width: int, dark: bool) -> None:
    page = open_page(path, width=width, dark=dark)
    expect(page.locator("main")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_rows_are_renewed_in_place_and_the_keyboard_walks_them(open_page: Open) -> None:
    page = open_page("/")
    order = "[...document.querySelectorAll('#going .call')].map((e) => Number(e.dataset.order))"
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.id")
    page.keyboard.press("j")
    chosen = page.evaluate("document.activeElement.id")
    assert chosen.startswith("open-")
    assert chosen != first
    changes(page, WORDS)
    changes(page, WORDS)
    assert page.evaluate("document.activeElement.id") == chosen, "updates take no focus away"
    orders = page.evaluate(order)
    assert orders == sorted(set(orders), reverse=True), "each call once, the newest first"
    page.keyboard.press("k")
    assert page.evaluate("document.activeElement.id") == first
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/calls/{first.removeprefix('open-')}")


def test_a_filter_holds_while_calls_change(open_page: Open) -> None:
    page = open_page("/")
    page.keyboard.press("/")
    page.keyboard.type("Agent-2")
    expect(page.locator(SHOWN).first).to_be_visible()
    assert page.url.endswith("/?q=Agent-2")
    changes(page, WORDS)
    found = page.eval_on_selector_all(SHOWN, "(rows) => rows.map((row) => row.dataset.find)")
    assert found
    assert all("agent-2" in words for words in found)
    page.fill("#q", "no such words")
    expect(page.locator(".nomatch")).to_be_visible()
    page.locator(".nomatch a").click()
    expect(page.locator(".nomatch")).to_be_hidden()
    assert page.locator(SHOWN).count() == page.locator(".call").count() > 60


def test_a_page_opened_with_a_filter_shows_all_calls_once_it_is_cleared(open_page: Open) -> None:
    page = open_page("/?mode=keypad")
    page.wait_for_function("() => document.querySelectorAll('.call').length > 60")
    assert 0 < page.locator(SHOWN).count() < 20
    page.locator(".clear").click()
    assert page.locator(SHOWN).count() > 60


def test_without_scripts_filters_and_zoom_are_addresses(open_page: Open) -> None:
    page = open_page("/", javascript=False)
    page.select_option("[name=mode]", "keypad")
    page.get_by_role("button", name="Filter").click()
    assert "mode=keypad" in page.url
    modes = page.eval_on_selector_all(".call", "(rows) => rows.map((row) => row.dataset.mode)")
    assert set(modes) == {"keypad"}
    page.goto(WHOLE)
    page.locator("[data-zoom='+']").click()
    assert "from=" in page.url
    assert page.locator("#score").get_attribute("data-zoomed") == ""


def test_dragging_zooms_and_keys_do_too(open_page: Open) -> None:
    page = open_page(WHOLE)
    whole = page.evaluate(WINDOW)
    box = page.locator("#score-roll svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + 50)
    page.mouse.up()
    page.wait_for_selector("#score[data-zoomed]")
    begin, end = map(int, page.evaluate(WINDOW))
    assert 0 < begin < end < int(whole[1])
    page.focus("#score-roll")
    page.keyboard.press("0")
    page.wait_for_selector("#score:not([data-zoomed])")
    page.focus("#score-roll")
    page.keyboard.press("+")
    page.wait_for_selector("#score[data-zoomed]")


def test_score_and_transcript_walk_in_step(open_page: Open) -> None:
    page = open_page(WHOLE)
    page.locator("#mark-i3").hover()
    expect(page.locator(".part.is-linked")).to_have_count(3)  # heard, never heard, response time
    page.focus("#score-roll")
    for _ in range(40):
        page.keyboard.press("ArrowRight")
        if page.evaluate("document.activeElement.dataset.key") == "i4":
            break
    expect(page.locator("#mark-i4")).to_have_class("mark mark--caller is-linked")
    expect(page.locator("#score-words")).to_contain_text("move the dentist to Thursday")
    changes(page, WINDOW)  # the call goes on, so its score is drawn anew
    assert page.evaluate("document.activeElement.dataset.key") == "i4", "a new drawing keeps focus"


def test_a_transcript_grows_in_order(open_page: Open) -> None:
    page = open_page(WHOLE)
    changes(page, "document.querySelectorAll('.mark').length")
    orders = page.eval_on_selector_all(".mark", "(m) => m.map((x) => -Number(x.dataset.order))")
    assert orders == list(range(len(orders)))
