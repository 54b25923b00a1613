"""The phone in the browser against the whole system: Chromium's microphone is fed with synthesized
speech, the assistant's voice is measured where it is played, and a todo said aloud is in the
planner.
"""

import asyncio
import json
import re
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import nats
import pytest
from playwright.sync_api import Browser, Page, expect

from testbed.voice import mulaw
from testbed.voice.speaker import CALLER_VOICE, Speaker

SENTENCE = "add buy milk tomorrow"
PAUSE_S = 9
"""Between two repetitions of the sentence: the file is played round and round."""
PATIENCE_MS, GREETING_MS, CALL_MS = 20_000, 60_000, 120_000
CALLER = "+15550100777"
SHOWN = "+15****0777"


@pytest.fixture(scope="module")
def talker(launch: Callable[..., Browser], tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser whose microphone hears somebody say the sentence again and again."""
    file = tmp_path_factory.mktemp("voice") / "caller.wav"
    with ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in this one
        spoken = thread.submit(lambda: asyncio.run(Speaker().speak(SENTENCE, CALLER_VOICE)))
    speech = mulaw.decode(spoken.result())
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(speech.tobytes() + bytes(2 * 8000 * PAUSE_S))
    return launch(
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}",
        "--autoplay-policy=no-user-gesture-required",
    )


@pytest.fixture
def phone(talker: Browser, system: Any, enter: Any, new_page: Any) -> Page:
    """The page, of an operator."""
    page: Page = new_page(chromium=talker)
    enter(page, system.link("olga", "operator"))
    page.get_by_role("link", name="Phone").click()
    page.wait_for_url("**/phone")
    return page


def figure(page: Page, name: str) -> int:
    return int(page.locator("#phone").get_attribute(f"data-{name}") or 0)


def until_figure(page: Page, name: str, least: int, within_ms: float) -> None:
    page.wait_for_function(
        "([name, least]) => Number(document.getElementById('phone').getAttribute(`data-${name}`))"
        " >= least",
        arg=[name, least],
        timeout=within_ms,
    )


def state(page: Page, wanted: str, within_ms: float = PATIENCE_MS) -> None:
    expect(page.locator("#phone")).to_have_attribute("data-state", wanted, timeout=within_ms)


def events_of(page: Page, call: str) -> list[dict[str, Any]]:
    answer = page.request.get(f"/calls/{call}/events.json")
    assert answer.ok
    return [entry["event"] for entry in answer.json()]


def call_of(page: Page) -> str:
    link = page.get_by_role("link", name="Open the call's page")
    expect(link).to_be_visible()
    return (link.get_attribute("href") or "").removeprefix("/calls/")


def test_a_todo_said_aloud_is_in_the_planner(phone: Page) -> None:
    phone.get_by_label("You call as").fill(CALLER)
    phone.get_by_role("button", name="Mute").click()
    phone.get_by_role("button", name="Call", exact=True).click()
    state(phone, "talking", GREETING_MS)
    until_figure(phone, "loud_ms", 1500, GREETING_MS)
    call = call_of(phone)
    words = phone.locator("#timeline")
    expect(words.locator(".mark--assistant").first).to_contain_text(re.compile(r"\w{3}"))
    assert words.locator(".mark--caller").count() == 0, "a muted caller says nothing"

    phone.get_by_role("button", name="Muted").click()
    tool = words.locator(".mark--tool", has_text="create_task").filter(has_text="milk")
    expect(tool.first).to_have_class(re.compile("is-ok"), timeout=CALL_MS)
    phone.get_by_role("button", name="Mute", exact=True).click()
    heard = figure(phone, "loud_ms")
    until_figure(phone, "loud_ms", heard + 500, GREETING_MS)

    planner = phone.context.new_page()
    planner.goto("/planner")
    expect(planner.locator("main")).to_contain_text("buy milk")
    expect(planner.locator("main")).to_contain_text(SHOWN)
    planner.close()

    played, sent = figure(phone, "played_ms"), figure(phone, "sent_ms")
    assert played > 3000
    assert figure(phone, "dropped") == 0
    assert figure(phone, "underruns") <= 1
    assert figure(phone, "gap_ms") < played / 100

    phone.get_by_role("button", name="Hang up").click()
    state(phone, "ended")
    expect(phone.locator("#phone-words")).to_have_text("You hung up.")
    ended = wait_for_end(phone, call)
    assert ended["reason"] == "caller_hung_up"
    written = {event["event"]: event for event in events_of(phone, call)}
    assert (written["ringing"]["channel"], written["ringing"]["operator"]) == ("browser", "olga")
    assert written["operator_acted"]["act"] == "phone"
    assert written["stream_stopped"]["line_ms"] >= sent * 0.9


def wait_for_end(page: Page, call: str) -> dict[str, Any]:
    """The call's end, once the log has it."""
    page.wait_for_function(
        "async (call) => (await (await fetch(`/calls/${call}/events.json`)).json())"
        ".some((entry) => entry.event.event === 'call_ended')",
        arg=call,
    )
    return next(event for event in events_of(page, call) if event["event"] == "call_ended")


def test_what_an_operator_sees_without_a_microphone(phone: Page) -> None:
    phone.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () =>"
        " Promise.reject(new DOMException('no', 'NotAllowedError')); }"
    )
    phone.get_by_role("button", name="Call", exact=True).click()
    expect(phone.get_by_role("alert")).to_contain_text("The browser refused the microphone")
    state(phone, "idle")


def ask(system: Any, subject: str, message: dict[str, Any]) -> dict[str, Any]:
    """A request of another service, whose loop is not Playwright's."""

    async def request() -> bytes:
        client = await nats.connect(system.facts["nats_url"])
        try:
            return (await client.request(subject, json.dumps(message).encode(), 10)).data
        finally:
            await client.close()

    with ThreadPoolExecutor(1) as thread:
        return json.loads(thread.submit(lambda: asyncio.run(request())).result())


def test_a_call_is_moved_to_another_line_and_ended_from_elsewhere(phone: Page, system: Any) -> None:
    phone.get_by_role("button", name="Mute").click()
    phone.get_by_role("button", name="Call", exact=True).click()
    state(phone, "talking", GREETING_MS)
    call = call_of(phone)
    with phone.expect_websocket() as second:
        assert ask(system, "calls.redirect", {"call": call})["type"] == "done"
    assert second.value.url.endswith("/browser/media")
    state(phone, "talking")
    written = [event["event"] for event in events_of(phone, call)]
    assert written.count("stream_started") == 2
    assert "resuming" in written
    assert "call_ended" not in written
    sent = figure(phone, "sent_ms")
    until_figure(phone, "sent_ms", sent + 500, PATIENCE_MS)

    assert ask(system, "calls.hang_up", {"call": call})["type"] == "done"
    state(phone, "ended")
    expect(phone.locator("#phone-words")).to_contain_text("ended the call")
    assert wait_for_end(phone, call)["reason"] == "assistant_hung_up"


def test_the_keypad_of_the_keyboard_reaches_the_call(phone: Page) -> None:
    phone.get_by_role("button", name="Mute").click()
    phone.get_by_role("button", name="Call", exact=True).click()
    state(phone, "talking", GREETING_MS)
    call = call_of(phone)
    phone.locator("body").press("7")
    phone.get_by_role("button", name="star").click()
    phone.wait_for_function(
        "async (call) => (await (await fetch(`/calls/${call}/events.json`)).json())"
        ".filter((entry) => entry.event.event === 'key_pressed').length === 2",
        arg=call,
    )
    phone.get_by_role("button", name="Hang up").click()
    state(phone, "ended")


def test_the_page_by_keyboard_and_on_a_phone(new_page: Any, system: Any, enter: Any) -> None:
    page: Page = new_page(width=360, dark=True)
    enter(page, system.link("olga", "operator"))
    page.goto("/phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Call", exact=True).focus()
    expect(page.get_by_role("button", name="Call", exact=True)).to_be_focused()
    assert page.get_by_role("group", name="Keypad").get_by_role("button").count() == 12
