"""Getting into the desk, and the pages about operators, in Chromium."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

PASSWORD = "four plain words do"
BACK = "Log in with this link"


def test_a_link_is_used_by_a_click_and_leaves_no_trace_in_the_address(
    page: Page, system: Any
) -> None:
    link = system.link()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.goto(link)
    button = page.get_by_role("button", name=BACK)
    expect(button).to_be_focused()
    assert page.url == f"{system.url}/login", "the token is out of the address"
    page.reload()
    page.goto("about:blank")
    page.goto(link)
    button.click()
    expect(page.get_by_role("navigation", name="Desk")).to_be_visible()
    token = link.partition("#")[2]
    assert not any(token in url for url in sent), "no address that was asked for holds it"
    assert page.evaluate("document.cookie") == "", "out of reach for scripts"
    page.context.clear_cookies()
    page.goto("about:blank")
    page.goto(link)
    button.click()
    expect(page.get_by_role("alert")).to_contain_text("used up")


def test_the_way_goes_on_to_the_page_that_was_asked_for(page: Page, system: Any) -> None:
    system.add_operator("pat", "--role", "viewer", "--password", typed=f"{PASSWORD}\n")
    page.goto("/account")
    assert page.url == f"{system.url}/login?next=%2Faccount"
    page.get_by_label("Name").fill("pat")
    page.get_by_label("Password").fill("not the password")
    page.get_by_label("Password").press("Enter")
    expect(page.get_by_role("alert")).to_have_text("Name and password do not belong together.")
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/account")
    expect(page.get_by_role("heading", name="pat")).to_be_visible()
    page.get_by_label("Your account").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.go_back()
    page.reload()
    expect(page.get_by_role("heading", name="Log in to the desk")).to_be_visible()


def test_without_scripts_a_link_is_pasted(new_page: Callable[..., Page], system: Any) -> None:
    page = new_page(javascript=False)
    link = system.link()
    page.goto("/planner")
    page.get_by_label("One-time link").fill(link)
    page.get_by_role("button", name=BACK).click()
    assert "/planner" in page.url


def test_an_admin_adds_and_shuts_out_an_operator_whose_pages_notice(
    desk: Page, new_page: Callable[..., Page], enter: Any
) -> None:
    desk.get_by_role("link", name="Operators").click()
    desk.get_by_label("Name").fill("sam")
    desk.get_by_role("button", name="Add operator").click()
    link = desk.get_by_label("One-time link for sam").input_value()
    sam = new_page()
    enter(sam, link)
    expect(sam.get_by_label("Your account")).to_have_text("sam")
    expect(sam.get_by_role("link", name="Operators")).to_have_count(0)
    desk.get_by_role("button", name="Disable sam").click()
    expect(desk.get_by_text("disabled since")).to_be_visible()
    # Their live page is not touched: its update stream ends, and it looks why.
    sam.wait_for_url("**/login?next=*")
    desk.get_by_role("link", name="Acts of sam").click()
    expect(desk.get_by_role("cell", name="log in", exact=True)).to_be_visible()
    desk.get_by_role("link", name="Show all").click()
    expect(desk.get_by_role("cell", name="operator disabled").first).to_be_visible()


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(
    new_page: Callable[..., Page], system: Any, enter: Any, width: int
) -> None:
    page = new_page(width=width, dark=width == 360)
    page.goto("/login")
    wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert not page.evaluate(wide)
    enter(page, system.link())
    for path in ("/operators", "/audit", "/account"):
        page.goto(path)
        assert not page.evaluate(wide), path
        expect(page.get_by_role("main")).to_be_visible()
