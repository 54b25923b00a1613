"""The pages of assistants and tools in Chromium: numbers shown on request, a tool found with its
schema, called as a caller, and its effect seen in the planner.
"""

from collections.abc import Callable
from typing import Any

import pytest
from desk_records import Person, Records
from playwright.sync_api import Page, expect

NewPage = Callable[..., Page]
Enter = Callable[[Page, str], None]
SOON = ".tool#tool-create_task"


@pytest.fixture
def ann(system: Any) -> Person:
    return Records(system.facts["nats_url"]).caller()


def test_assistants_with_their_numbers_masked_until_they_are_asked_for(desk: Page) -> None:
    desk.get_by_role("link", name="Assistants").click()
    front = desk.locator(".profile", has_text="front-desk.toml")
    expect(front).to_contain_text("cedar")
    expect(front).to_contain_text("+15****0020")
    front.get_by_text("What the model is told").click()
    expect(front).to_contain_text("You are the front desk")
    desk.get_by_role("button", name="Show numbers").click()
    expect(front).to_contain_text("+15550100020")
    desk.goto("/audit")
    expect(desk.locator(".audit")).to_contain_text("reveal number")


def test_from_an_assistants_tool_to_a_todo_in_the_planner(desk: Page, ann: Person) -> None:
    ann.add("known already")
    desk.goto("/assistants")
    desk.get_by_role("link", name="create_task").click()
    tool = desk.locator(SOON)
    expect(tool).to_contain_text("served")
    tool.get_by_text("Schema and instances").click()
    expect(tool.locator("pre")).to_contain_text('"description"')
    tool.get_by_role("link", name="Try it").click()

    desk.get_by_role("button", name="Call create_task").click()
    expect(desk.locator("#try")).to_contain_text("This is needed.")
    desk.get_by_label("date").fill(str(ann.today()))
    desk.get_by_label("description").fill("said by an operator")
    desk.get_by_label("As caller").select_option(ann.id)
    key = desk.locator('input[name="key"]')
    before = key.input_value()
    desk.get_by_role("button", name="Call create_task").click()
    result = desk.get_by_role("region", name="Result")
    expect(result).to_contain_text("answered")
    expect(result.get_by_label("Answer")).to_contain_text("said by an operator")
    assert key.input_value() != before, "the next click is another one"
    assert "said by an operator" in ann.todos()
    desk.goto(ann.page)
    expect(desk.locator(".day.is-today")).to_contain_text("said by an operator")
    desk.goto("/audit")
    expect(desk.locator(".audit")).to_contain_text(f"create_task for {ann.id}")


def test_a_failure_is_said_in_words(desk: Page) -> None:
    desk.goto("/tools/call/get_tasks")
    desk.get_by_label("period").select_option("today")
    desk.get_by_role("button", name="Call get_tasks").click()
    result = desk.get_by_role("region", name="Result")
    expect(result).to_contain_text("failed")
    expect(result).to_contain_text("header Trunkline-Caller")


def test_a_viewer_sees_tools_and_gets_no_form(new_page: NewPage, system: Any, enter: Enter) -> None:
    page = new_page()
    enter(page, system.link("vera", "viewer"))
    page.goto("/tools")
    expect(page.locator(SOON)).to_contain_text("served")
    expect(page.get_by_role("link", name="Try it")).to_have_count(0)
    page.goto("/tools/call/create_task")
    expect(page.locator("main")).to_contain_text("This needs the role operator")
    page.goto("/assistants")
    expect(page.get_by_role("button", name="Show numbers")).to_have_count(0)


def test_what_was_unfolded_stays_so_when_the_page_renews_itself(desk: Page, ann: Person) -> None:
    desk.goto("/tools")
    tool = desk.locator(SOON)
    tool.get_by_text("Schema and instances").click()
    asked = tool.locator("dl > div", has_text="Asked").locator("dd")
    before = int(asked.inner_text())
    desk.context.new_page().goto(desk.url)
    other = desk.context.pages[-1]
    other.goto("/tools/call/create_task")
    other.get_by_label("date").fill(str(ann.today()))
    other.get_by_label("description").fill("once more")
    other.get_by_label("As caller").select_option(label="nobody")
    other.get_by_role("button", name="Call create_task").click()
    expect(other.get_by_role("region", name="Result")).to_contain_text("failed")
    expect(asked).to_have_text(str(before + 1))
    expect(tool.locator("details")).to_have_attribute("open", "")


def test_without_scripts_a_tool_can_be_called(new_page: NewPage, system: Any, ann: Person) -> None:
    ann.add("known already")
    page = new_page(javascript=False)
    page.goto("/tools/call/create_task")
    page.get_by_label("One-time link").fill(system.link())
    page.get_by_role("button", name="Log in with this link").click()
    page.get_by_label("date").fill(str(ann.today()))
    page.get_by_label("description").fill("without scripts")
    page.get_by_label("As caller").select_option(ann.id)
    page.get_by_role("button", name="Call create_task").click()
    expect(page.get_by_role("region", name="Result")).to_contain_text("answered")
    assert "without scripts" in ann.todos()
