"""A real call on the live board and in the history: watched, missed and caught up with, found
again, counted, and forgotten.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from simulated_phone import Phone

NUMBER, MASKED = "+15550100871", "+15****0871"
ASKED = "add buy milk tomorrow"
SPOKEN = "I added buy milk for"
STREAM = re.compile(r"/live\?")
STREAMS_KEPT = """
  const streams = window.streams = [];
  window.EventSource = class extends EventSource {
    constructor(...given) { super(...given); streams.push(this); }
  };
"""
CUT = """() => streams.filter(stream => stream.readyState === EventSource.OPEN).map(stream => {
  stream.close();
  stream.dispatchEvent(new Event("error"));
}).length"""
PATIENCE = 100
HEARD_MS = 700
"""Of the answer; less would be the end of the greeting."""


@pytest.fixture(scope="module")
def phone(system: Any) -> Iterator[Phone]:
    with Phone(system.facts) as one:
        yield one


def test_a_call_is_watched_found_again_counted_and_forgotten(
    desk: Page, phone: Phone, new_page: Callable[..., Page], system: Any, enter: Any
) -> None:
    # Live, on the board: who, what, and that it ended.
    desk.add_init_script(STREAMS_KEPT)
    desk.reload()
    call = phone.dial(NUMBER)
    row = desk.locator(f"#call-{call.sid}")
    expect(row).to_contain_text(MASKED)
    expect(row).to_contain_text("conversation")
    expect(row).to_contain_text("ai-agent-1")
    # The page's stream is cut; it has the rest when the way is free, without being loaded anew.
    desk.evaluate("() => { window.here = true; }")
    desk.route(STREAM, lambda route: route.abort())
    assert desk.evaluate(CUT) == 1
    before = call.now_ms()
    phone.say(call, ASKED)
    phone.until_loud(call, before, HEARD_MS)
    expect(row).not_to_contain_text(SPOKEN)
    desk.unroute(STREAM)
    expect(row).to_contain_text(SPOKEN)
    phone.hang_up(call)
    expect(row).to_contain_text("ended")
    assert desk.evaluate("() => window.here")

    # Found by words, by tool, by digits, by its day; the number is masked until it is asked for.
    desk.get_by_role("link", name="History").click()
    found = desk.locator(".past", has=desk.locator(f'a[href="/calls/{call.sid}"]'))
    look_for(desk, '"buy milk"')
    for _ in range(PATIENCE):  # the history has a call a second or two after its end
        if found.count():
            break
        desk.wait_for_timeout(300)
        desk.reload()
    for asked in ('"buy milk"', "create_task", NUMBER[-4:], "today"):
        look_for(desk, asked)
        expect(found).to_be_visible()
    look_for(desk, '"buy milk"')
    expect(found.locator("mark").first).to_be_visible()
    expect(found).to_contain_text(MASKED)
    look_for(desk, '"buy silk"')
    expect(desk.locator(".empty")).to_contain_text("No call like this")
    look_for(desk, NUMBER)
    desk.get_by_role("link", name="caller hung up").click()
    expect(found).to_be_visible()
    with desk.expect_download() as saved:
        desk.get_by_role("link", name="CSV", exact=True).click()
    lines = saved.value.path().read_text().splitlines()
    assert len(lines) == 2
    assert call.sid in lines[1]
    assert MASKED in lines[1]
    assert NUMBER not in lines[1]
    desk.get_by_role("button", name="Show numbers").click()
    expect(found).to_contain_text(NUMBER)

    desk.get_by_role("link", name="Figures").click()
    assert int(desk.locator(".figures tbody tr .num").first.inner_text()) >= 1
    expect(desk.locator(".figures")).to_contain_text("on-your-plate")

    # An operator may not forget; an admin may, and it is gone here and from the log.
    mira = new_page()
    enter(mira, system.link("mira", "operator"))
    assert mira.goto("/history/forget").status == 403
    desk.goto(f"/history?q=%2B{NUMBER[1:]}")
    desk.get_by_role("link", name="Forget this caller").click()
    expect(desk.locator(".quote")).to_contain_text(MASKED)
    desk.get_by_label("I am sure").check()
    desk.get_by_role("button", name="Forget them").click()
    expect(desk.locator(".gone").first).to_contain_text("1 call forgotten")
    look_for(desk, NUMBER)
    expect(desk.locator(".empty")).to_contain_text("No call like this")
    for _ in range(PATIENCE):  # each desk takes it off its board when it looks, every two seconds
        if desk.goto(f"/calls/{call.sid}").status == 404:
            break
        desk.wait_for_timeout(300)
    expect(desk.get_by_role("heading")).to_contain_text("The log holds no call of this id")
    desk.goto("/")
    expect(row).to_have_count(0)
    desk.goto("/planner")
    expect(desk.locator("main")).not_to_contain_text(MASKED)


def look_for(desk: Page, text: str) -> None:
    """Ask the history."""
    if "/history" not in desk.url or "/history/" in desk.url:
        desk.goto("/history")
    field = desk.get_by_placeholder("Number, words said, tool, day")
    field.fill(text)
    field.press("Enter")
    expect(desk.locator(".understood")).to_contain_text("Looked for")
