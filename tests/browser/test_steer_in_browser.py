"""An operator at the desk and a call of a simulated phone, in a running system: what is whispered,
said and spoken at the desk is heard at the phone, what is spoken there is heard in the browser.
"""

import asyncio
import json
import math
import wave
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from desk_steer import SteeredCall
from playwright.sync_api import Browser, Page, expect
from simulated_phone import Phone

from protocol import events as e
from protocol.ids import ItemId
from protocol.line import EAR_MS, Track
from runtime import bus
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.tracks import keep
from testbed.voice import mulaw
from testbed.voice.g711 import mulaw_code
from testbed.voice.speaker import CALLER_VOICE, Speaker

OPERATOR_SAYS = "Good day, this is Mira at the front desk, how can I help you with your order?"
CALLER_SAYS = "what do i have today"
SAID = "We close at five today."
LISTENED_MS = 60_000
"""The bound of every wait for sound; a hung test only."""


@pytest.fixture(scope="module")
def at_work(launch: Callable[..., Browser], tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser whose microphone hears the operator speak, over and over."""
    file = tmp_path_factory.mktemp("operator") / "operator.wav"
    with ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in this one
        spoken = thread.submit(lambda: asyncio.run(Speaker().speak(OPERATOR_SAYS, CALLER_VOICE)))
    speech = mulaw.decode(spoken.result())
    with wave.open(str(file), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(speech.tobytes() + bytes(2 * 2000))
    return launch(
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={file}",
        "--autoplay-policy=no-user-gesture-required",
    )


@pytest.fixture(scope="module")
def phone(system: Any) -> Iterator[Phone]:
    with Phone(system.facts) as one:
        yield one


@pytest.fixture
def mira(at_work: Browser, system: Any, enter: Any, new_page: Any) -> Page:
    """A page of an operator."""
    page: Page = new_page(chromium=at_work)
    enter(page, system.link("mira", "operator"))
    return page


def events_of(page: Page, call: str, name: str) -> list[dict[str, Any]]:
    answer = page.request.get(f"/calls/{call}/events.json")
    assert answer.ok
    return [x["event"] for x in answer.json() if x["event"]["event"] == name]


def opened(page: Page, call: Any) -> None:
    """The page of the call, with a worker that holds it."""
    page.goto(f"/calls/{call.sid}")
    expect(page.locator("#steer-now")).to_have_attribute("data-mode", "conversation")
    expect(page.locator("#steer-forms")).to_be_visible()


def loud_ms(page: Page, track: str, least: int) -> None:
    """Wait until the browser has played so much of a track that is no silence."""
    page.wait_for_function(
        "([track, least]) => JSON.parse(document.getElementById('steer').dataset.loud ?? '{}')"
        "[track] >= least",
        arg=[track, least],
        timeout=LISTENED_MS,
    )


def played(page: Page, track: str) -> int:
    """How much of a track that is no silence the browser has played, in ms."""
    loud = page.locator("#steer").get_attribute("data-loud")
    assert loud is not None
    return int(json.loads(loud)[track])


def test_a_whisper_is_noted_and_a_sentence_is_heard_at_the_phone(mira: Page, phone: Phone) -> None:
    call = phone.dial("+15550100801")
    opened(mira, call)
    mira.get_by_label("Words for the assistant").fill("They want the window seat")
    mira.get_by_role("button", name="Whisper").click()
    expect(mira.locator("#said-words")).to_contain_text("The assistant was told")
    expect(mira.get_by_label("Words for the assistant")).to_have_value("")
    expect(mira.locator("#timeline")).to_contain_text("mira whispered: They want the window seat")
    (whispered,) = events_of(mira, call.sid, "whispered")
    assert whispered["by"] == "mira"

    before = call.now_ms()
    mira.get_by_label("Words for the assistant").fill(SAID)
    mira.get_by_role("button", name="Say", exact=True).click()
    expect(mira.locator("#said-words")).to_contain_text("The assistant says it")
    phone.until_loud(call, before, 600)
    expect(mira.locator("#timeline")).to_contain_text(SAID)

    mira.get_by_text("Hang up…").click()
    mira.get_by_role("button", name="After the sentence").click()
    assert phone.ended(call) == "hangup_verb"
    expect(mira.locator("#steer.player")).to_be_visible()
    acts = [event["act"] for event in events_of(mira, call.sid, "operator_acted")]
    assert acts == ["whisper", "say", "hang_up"]


def test_both_parties_are_heard_and_an_operator_speaks_in_the_assistants_place(
    mira: Page, phone: Phone
) -> None:
    call = phone.dial("+15550100802")
    opened(mira, call)
    mira.keyboard.press("l")
    expect(mira.locator("#steer")).to_have_attribute("data-ear", "listening")
    phone.say(call, CALLER_SAYS)
    loud_ms(mira, "caller", 500)
    loud_ms(mira, "assistant", 500)
    expect(mira.locator("#listen")).to_have_text("Stop listening")
    assert [e["act"] for e in events_of(mira, call.sid, "operator_acted")] == ["listen"]

    mira.get_by_role("button", name="Take over by voice").click()
    expect(mira.locator("#steer-voice")).to_be_visible()
    expect(mira.locator("#steer-voice")).to_contain_text("You are speaking to the caller")
    began = call.now_ms()
    phone.until_loud(call, began, 500)
    before = played(mira, "assistant")
    phone.until_loud(call, began, 2500)
    assert played(mira, "assistant") - before < 500, "nobody hears their own voice"
    expect(mira.locator("#steer-now")).to_have_attribute("data-speaker", "mira")
    expect(mira.get_by_role("button", name="Say", exact=True)).to_be_disabled()
    (taken,) = events_of(mira, call.sid, "taken_over")
    assert taken["operator"] == "mira"

    mira.get_by_role("button", name="Give back to the assistant").click()
    expect(mira.locator("#steer-voice")).to_be_hidden()
    expect(mira.locator("#steer-now")).to_have_attribute("data-speaker", "")
    (given,) = events_of(mira, call.sid, "given_back")
    assert given["reason"] == "given_back"
    expect(mira.locator(".part--taken").first).to_be_attached()
    expect(mira.locator(".part--operator").first).to_be_attached(timeout=LISTENED_MS)

    mira.keyboard.press("l")
    expect(mira.locator("#listen")).to_have_text("Listen")
    mira.get_by_text("Hang up…").click()
    mira.get_by_role("button", name="Now", exact=True).click()
    assert phone.ended(call) == "hangup_verb"
    expect(mira.locator("#steer.player")).to_be_visible()


def test_a_page_that_is_closed_gives_the_call_back(mira: Page, phone: Phone) -> None:
    call = phone.dial("+15550100803")
    opened(mira, call)
    mira.get_by_role("button", name="Take over by voice").click()
    expect(mira.locator("#steer-now")).to_have_attribute("data-speaker", "mira")
    mira.goto("/")
    mira.goto(f"/calls/{call.sid}")
    expect(mira.locator("#steer-now")).to_have_attribute("data-speaker", "")
    (given,) = events_of(mira, call.sid, "given_back")
    assert given["operator"] == "mira"
    phone.hang_up(call)


def test_without_scripts_the_forms_steer(
    new_page: Any, enter: Any, system: Any, phone: Phone, mira: Page
) -> None:
    call = phone.dial("+15550100804")
    opened(mira, call)
    # Logging in with a link needs scripts; the session does not.
    plain: Page = new_page(javascript=False)
    plain.context.add_cookies(mira.context.cookies())  # type: ignore[arg-type]
    plain.goto(f"/calls/{call.sid}")
    expect(plain.get_by_text("need scripts")).to_be_visible()
    before = call.now_ms()
    plain.get_by_label("Words for the assistant").fill(SAID)
    plain.get_by_role("button", name="Say", exact=True).click()
    expect(plain.get_by_role("heading", name="Done")).to_be_visible()
    phone.until_loud(call, before, 600)
    plain.get_by_role("link", name="Back to the call").click()
    plain.get_by_text("Transfer…").click()
    plain.get_by_role("button", name="Put the caller through").click()
    expect(plain.get_by_text("The assistant of this call names no human.")).to_be_visible()
    plain.get_by_role("link", name="Back to the call").click()
    plain.get_by_text("Hang up…").click()
    plain.get_by_role("button", name="Now", exact=True).click()
    assert phone.ended(call) == "hangup_verb"


# -- replay


async def write_recorded_call(nats_url: str, *, kept: bool) -> str:
    """A call of 9 s that is over: the caller speaks at 2 s, the assistant at 5 s; of it the sound
    from 1 s on is kept.
    """
    async with bus.connect(CommonSettings(nats_url=nats_url), "test", Shutdown()) as nats:
        call = SteeredCall(nats)
        await call.begin()
        if kept:
            await call.write(e.RecordingStarted, line_ms=1000)
        turn = ItemId("turn")
        await call.write(e.TurnCommitted, item_id=turn, from_ms=2000, to_ms=4000)
        await call.write(e.TurnTranscribed, item_id=turn, text="when do you close")
        said: dict[str, Any] = {"response_id": "r", "text": "We close at five.", "done": True}
        await call.write(e.Said, item_id=ItemId("answer"), generated_ms=3000, **said)
        heard: dict[str, Any] = {"heard_ms": 3000, "sent_ms": 3000, "cut": False, "line_ms": 8000}
        await call.write(e.Heard, leg=call.leg, item_id=ItemId("answer"), **heard)
        stop: dict[str, Any] = {"reason": "stop", "line_ms": 9000}
        await call.write(e.StreamStopped, leg=call.leg, **stop)
        if kept:
            tracks: tuple[tuple[Track, int, int], ...] = (
                ("caller", 2000, 4000),
                ("assistant", 5000, 8000),
            )
            for track, begin, end in tracks:
                for at in range(1000, 9000, EAR_MS):
                    loud = begin <= at < end
                    await keep(nats, call.id, track, at, TONE if loud else HUSH)
        await call.end()
        return call.id


TONE = bytes(mulaw_code(round(9000 * math.sin(2 * math.pi * 440 * n / 8000))) for n in range(1600))
HUSH = b"\xff" * 1600


def made_up(system: Any, *, kept: bool) -> str:
    with ThreadPoolExecutor(1) as thread:
        work = thread.submit(
            lambda: asyncio.run(write_recorded_call(system.facts["nats_url"], kept=kept))
        )
    return work.result()


def shown_ended(page: Page, call: str) -> None:
    """The page of a call that is over, once the board has all of it."""
    page.wait_for_function(
        "async (call) => (await (await fetch('/calls/' + call + '/steer')).text())"
        ".includes('data-over')",
        arg=call,
    )
    page.goto(f"/calls/{call}")
    expect(page.locator("#play")).to_be_visible()


POSITION = "Number(document.getElementById('seek').value)"


def test_a_recorded_call_is_replayed_with_its_sound(mira: Page, system: Any) -> None:
    call = made_up(system, kept=True)
    shown_ended(mira, call)
    wave_caller = mira.locator(".wave-caller")
    expect(wave_caller).to_be_attached()
    assert (wave_caller.get_attribute("d") or "").startswith("M")
    mira.keyboard.press(" ")
    expect(mira.locator("#play")).to_have_text("Pause")
    # Into the caller's turn by a click on the score.
    box = mira.locator("#score-roll svg").bounding_box()
    assert box is not None
    mira.mouse.click(box["x"] + box["width"] * 2.2 / 9, box["y"] + box["height"] - 60)
    mira.wait_for_function(f"() => {POSITION} > 2300")
    expect(mira.locator("#mark-turn")).to_have_class("mark mark--caller is-now")
    playing = (
        "() => { const a = document.getElementById('sound'); return !a.paused && a.currentTime"
    )
    mira.wait_for_function(f"{playing} > 1.3; }}")
    mira.get_by_role("button", name="2×").click()
    assert mira.evaluate("document.getElementById('sound').playbackRate") == 2
    mira.wait_for_function(f"() => {POSITION} > 5500")
    expect(mira.locator("#mark-answer")).to_have_class("mark mark--assistant is-now")
    mira.wait_for_function("() => document.getElementById('play').textContent === 'Play'")
    assert mira.evaluate(POSITION) == 9000, "to the end, also where no sound is kept any more"
    acts = [(x["act"], x["detail"]) for x in events_of(mira, call, "operator_acted")]
    assert acts == [("listen", "recording")]
    with mira.expect_download() as download:
        mira.get_by_role("link", name="Export WAV").click()
    with wave.open(str(download.value.path()), "rb") as read:
        assert (read.getnchannels(), read.getnframes()) == (2, 8 * 8000)


def test_a_call_without_sound_is_replayed_in_silence(mira: Page, system: Any) -> None:
    call = made_up(system, kept=False)
    shown_ended(mira, call)
    expect(mira.locator("#player-sound")).to_have_text("No sound was kept of this call.")
    assert mira.locator("#sound").count() == 0
    mira.get_by_role("button", name="2×").click()
    mira.get_by_role("button", name="Play").click()
    mira.wait_for_function(f"() => {POSITION} > 2500")
    expect(mira.locator("#mark-turn")).to_have_class("mark mark--caller is-now")
    mira.locator("#seek").fill("8500")
    mira.wait_for_function("() => document.getElementById('play').textContent === 'Play'")
    assert events_of(mira, call, "operator_acted") == []
