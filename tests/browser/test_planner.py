"""The planner in Chromium: the week, dialogs, dragging with the mouse and by keys, what a call adds
while somebody looks, and all of it without scripts.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from desk_records import Person, Records
from playwright.sync_api import Locator, Page, expect

NewPage = Callable[..., Page]
Enter = Callable[[Page, str], None]

STAYS = "() => { window.stays = true; }"
STAYED = "() => window.stays === true"


@pytest.fixture
def ann(system: Any) -> Person:
    return Records(system.facts["nats_url"]).caller()


def column(page: Page, ann: Person, days: int) -> Locator:
    return page.locator(f'[data-drop="{ann.today() + timedelta(days=days)}"]')


def card(page: Page, words: str) -> Locator:
    return page.locator(".todo", has_text=words)


def test_the_week_has_seven_columns_and_today_is_marked(desk: Page, ann: Person) -> None:
    ann.add("call the dentist")
    ann.add("buy milk", 3)
    ann.add("renew the passport", 12)
    ann.add("return the drill", -2)
    ann.tick(ann.add("pay the bill"))
    desk.goto(ann.page)
    assert desk.locator(".days > .day").count() == 7
    expect(desk.locator(".day.is-today")).to_have_attribute("data-drop", str(ann.today()))
    expect(column(desk, ann, 0)).to_contain_text("call the dentist")
    expect(column(desk, ann, 3)).to_contain_text("buy milk")
    expect(desk.locator(".later")).to_contain_text("renew the passport")
    expect(desk.locator("#todos")).not_to_contain_text("return the drill")
    boxes = [one.bounding_box() for one in desk.locator(".days > .day").all()]
    assert len({round(box["y"]) for box in boxes if box}) == 1, "beside each other"
    assert ann.number not in desk.content(), "masked"

    desk.get_by_role("link", name="Stale").click()
    expect(card(desk, "return the drill")).to_be_visible()
    expect(desk.locator("#todos")).to_contain_text("2 days overdue")
    desk.get_by_role("link", name="Archive").click()
    expect(card(desk, "pay the bill")).to_be_visible()


def test_weeks_before_and_after(desk: Page, ann: Person) -> None:
    ann.add("renew the passport", 8)
    desk.goto(ann.page)
    desk.get_by_role("link", name="The week after").click()
    expect(column(desk, ann, 8)).to_contain_text("renew the passport")
    expect(desk.locator(".day.is-today")).to_have_count(0)
    card(desk, "renew the passport").get_by_role("checkbox").click()
    expect(card(desk, "renew the passport").get_by_role("checkbox")).to_be_checked()
    expect(column(desk, ann, 8)).to_be_visible()
    desk.get_by_role("link", name="Today", exact=True).click()
    expect(desk.locator(".day.is-today")).to_have_count(1)
    desk.get_by_role("link", name="The week before").click()
    expect(column(desk, ann, -7)).to_be_visible()
    expect(column(desk, ann, -1)).to_have_class("day is-past is-free")


def test_add_edit_and_delete_in_a_dialog_without_leaving_the_page(desk: Page, ann: Person) -> None:
    desk.goto(ann.page)
    desk.evaluate(STAYS)
    dialog = desk.get_by_role("dialog")
    column(desk, ann, 2).get_by_role("link", name="Add a todo").click()
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("What")).to_be_focused()
    expect(dialog.get_by_label("Day")).to_have_value(str(ann.today() + timedelta(days=2)))
    desk.keyboard.press("Enter")
    expect(dialog).to_contain_text("Say what is to be done.")
    dialog.get_by_label("What").fill("water plants")
    desk.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(column(desk, ann, 2)).to_contain_text("water plants")

    card(desk, "water plants").get_by_role("link", name="Edit").click()
    dialog.get_by_label("What").fill("water all plants")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(column(desk, ann, 2)).to_contain_text("water all plants")

    card(desk, "water all plants").get_by_role("link", name="Edit").click()
    dialog.get_by_role("button", name="Tomorrow").click()
    expect(column(desk, ann, 1)).to_contain_text("water all plants")
    assert ann.todos() == {"water all plants": ann.today() + timedelta(days=1)}

    card(desk, "water all plants").get_by_role("link", name="Delete").click()
    expect(dialog).to_contain_text("Delete this todo?")
    dialog.get_by_role("link", name="Keep it").click()
    expect(dialog).to_be_hidden()
    assert ann.todos(), "asking deletes nothing"
    card(desk, "water all plants").get_by_role("link", name="Delete").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(card(desk, "water all plants")).to_have_count(0)
    assert ann.todos() == {}
    assert desk.evaluate(STAYED), "the page was never loaded anew"


def test_the_checkbox_completes_and_takes_back(desk: Page, ann: Person) -> None:
    ann.add("buy milk")
    desk.goto(ann.page)
    box = card(desk, "buy milk").get_by_role("checkbox")
    box.press("Space")
    expect(box).to_be_checked()
    expect(box).to_be_focused()
    assert "buy milk" in ann.todos("archive")
    box.click()
    expect(box).not_to_be_checked()
    assert "buy milk" in ann.todos()


def test_a_card_is_dragged_to_another_day(desk: Page, ann: Person) -> None:
    ann.add("buy milk")
    ann.add("call the dentist")
    desk.goto(ann.page)
    drag(desk, card(desk, "buy milk"), column(desk, ann, 4))
    expect(column(desk, ann, 4)).to_contain_text("buy milk")
    expect(card(desk, "buy milk")).not_to_have_class("todo is-sent")
    assert ann.todos()["buy milk"] == ann.today() + timedelta(days=4)
    assert ann.todos()["call the dentist"] == ann.today()

    drag(desk, card(desk, "buy milk"), desk.locator(".plan-bar"))
    expect(column(desk, ann, 4)).to_contain_text("buy milk")
    desk.reload()
    expect(column(desk, ann, 4)).to_contain_text("buy milk")


def test_the_list_waits_while_a_card_is_held(desk: Page, ann: Person) -> None:
    ann.add("buy milk")
    desk.goto(ann.page)
    grab(desk, card(desk, "buy milk"))
    desk.mouse.move(600, 300, steps=4)
    expect(desk.locator(".is-dragged")).to_have_count(1)
    with desk.expect_response(lambda answer: "/list" in answer.url):
        ann.add("said on the phone", 1)
    expect(desk.locator(".is-dragged")).to_have_count(1)
    desk.keyboard.press("Escape")
    desk.mouse.up()
    expect(column(desk, ann, 1)).to_contain_text("said on the phone")
    expect(column(desk, ann, 0)).to_contain_text("buy milk")
    assert ann.todos()["buy milk"] == ann.today()


def test_a_card_is_moved_by_keys(desk: Page, ann: Person) -> None:
    ann.add("buy milk")
    desk.goto(ann.page)
    grip = desk.get_by_role("button", name="Move: buy milk")
    grip.focus()
    for days in (1, 2):
        desk.keyboard.press("ArrowRight")
        expect(column(desk, ann, days)).to_contain_text("buy milk")
        expect(card(desk, "buy milk")).not_to_have_class("todo is-sent")
        expect(grip).to_be_focused()
        assert ann.todos()["buy milk"] == ann.today() + timedelta(days=days)
    desk.keyboard.press("ArrowLeft")
    expect(column(desk, ann, 1)).to_contain_text("buy milk")
    expect(desk.locator("#announce")).to_contain_text("buy milk: moved to Tomorrow")


def test_what_a_call_adds_appears_at_once_and_takes_nothing_away(desk: Page, ann: Person) -> None:
    for n in range(12):
        ann.add(f"todo {n}")
    desk.goto(ann.page)
    desk.evaluate(STAYS)
    expect(desk.locator(".todo")).to_have_count(12)
    desk.evaluate("() => window.scrollTo(0, 200)")
    card(desk, "todo 3").get_by_role("link", name="Edit").click()
    typed = desk.get_by_role("dialog").get_by_label("What")
    typed.fill("half a sentence")
    before = desk.evaluate("() => window.scrollY")
    ann.add("said on the phone", 2)
    expect(column(desk, ann, 2)).to_contain_text("said on the phone")
    expect(desk.locator("#announce")).to_contain_text("New: said on the phone")
    expect(typed).to_have_value("half a sentence")
    expect(typed).to_be_focused()
    expect(desk.get_by_role("dialog")).to_be_visible()
    assert desk.evaluate("() => window.scrollY") == before
    assert desk.evaluate(STAYED)


def test_on_a_narrow_screen_the_days_are_a_list(
    new_page: NewPage, system: Any, enter: Enter, ann: Person
) -> None:
    ann.add("buy milk")
    page = new_page(width=360)
    enter(page, system.link())
    page.goto(ann.page)
    boxes = [box for one in page.locator(".days > .day").all() if (box := one.bounding_box())]
    assert len({round(box["x"]) for box in boxes}) == 1, "below each other"
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    drag(page, page.get_by_role("button", name="Move: buy milk"), column(page, ann, 1))
    expect(column(page, ann, 1)).to_contain_text("buy milk")


def test_everything_works_without_scripts(
    new_page: NewPage, system: Any, enter: Enter, ann: Person
) -> None:
    page = new_page(javascript=False)
    page.goto(ann.page)
    page.get_by_label("One-time link").fill(system.link())
    page.get_by_role("button", name="Log in with this link").click()
    assert ann.page in page.url
    expect(page.locator(".grip")).to_have_count(0)
    page.get_by_role("link", name="Add todo").click()
    page.get_by_label("What").fill("water plants")
    page.get_by_label("Day").fill(str(ann.today() + timedelta(days=2)))
    page.get_by_role("button", name="Add").click()
    expect(column(page, ann, 2)).to_contain_text("water plants")
    expect(page.locator(".grip").first).to_be_hidden()
    card(page, "water plants").get_by_role("link", name="Edit").click()
    page.get_by_role("button", name="Tomorrow").click()
    expect(column(page, ann, 1)).to_contain_text("water plants")
    card(page, "water plants").get_by_role("checkbox").click()
    expect(card(page, "water plants").get_by_role("checkbox")).to_be_checked()
    page.get_by_role("link", name="The week after").click()
    expect(column(page, ann, 7)).to_be_visible()
    page.get_by_role("link", name="Today", exact=True).click()
    card(page, "water plants").get_by_role("link", name="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator(".todo")).to_have_count(0)
    assert ann.todos("archive") == {}


def grab(page: Page, what: Locator) -> None:
    """Press on its upper part; hovering waits for it to stand still, as the list may be renewed."""
    box = what.bounding_box()
    what.hover(position={"x": box["width"] / 2, "y": min(12, box["height"] / 2)} if box else None)
    page.mouse.down()


def drag(page: Page, what: Locator, to: Locator) -> None:
    grab(page, what)
    box = to.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
