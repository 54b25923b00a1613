"""Words that an assistant must not say: the caller hears neither them nor what follows them."""

import json
from importlib import resources

import pytest

from testbed.realtime import OnResponse, OnSpeech, Say, Script, tone
from testbed.realtime.script import IGNORED

RULES = "+15550140500"
MODERATED = "+15550140501"
CALLER = "+15550140510"
INSTEAD = "Let us go on with your todos."
HELLO = Say("Hello, I give no advice about the law.", audio_ms=500)
THANKS = Say("You are welcome.", audio_ms=400)
SAFE = Say(INSTEAD, audio_ms=700)
LEAD = "That is a long story, and I know nothing about it, but between the two of us"
WORDS = f"{LEAD} I guarantee you that you will win in every court of the whole country."
FORBIDDEN = Say(WORDS, audio_ms=8_000)
HIDDEN_MS = 8_000 * len(LEAD) // len(WORDS)
"""Where in it the forbidden words begin."""
CHOICES = "Press 1 for today."
REST = f"""
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["get_tasks"]
[turn_detection]
silence_duration_ms = 200
[silence]
reminder_s = 0
hang_up_s = 0
[[menu]]
key = "1"
label = "today"
tool = "get_tasks"
arguments = {{ period = "today" }}
[output_check]
forbidden = ["legal advice", "i guarantee"]
instead = "{INSTEAD}"
"""


def shipped(name: str) -> bytes:
    """A prompt as the installation speaks it."""
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


def sound(say: Say) -> bytes:
    return tone(say.text, say.audio_ms)


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("output")
    for number, kind in {RULES: "rules", MODERATED: "moderation"}.items():
        head = f'name = "{kind}"\nnumbers = ["{number}"]\n'
        (folder / f"{kind}.toml").write_text(f'{head}{REST}kind = "{kind}"\n')
    folder_of = {"ASSISTANTS_DIR": str(folder)}
    agent = folder_of | {"SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=agent, webhooks=folder_of) as world:
        yield world


@pytest.fixture
async def office(house):
    """A system whose assistants are listened to; the model speaks at eight times real time."""
    house.begin()
    before = house.model.habits.pace
    house.model.habits.pace = 8.0
    yield house
    house.model.habits.pace = before
    await house.settle()


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


def cuttable(*steps) -> Script:
    """A script whose answers may be cut at any moment."""
    return Script(*steps, ignored=IGNORED | {"response.cancel", "conversation.item.truncate"})


def instead_wanted(request) -> bool:
    return INSTEAD in (request.instructions or "")


async def cut_and_replaced(office, number: str) -> list[dict]:
    """A caller whose second answer holds forbidden words; the call's events."""
    script = office.follows(
        cuttable(
            OnResponse(HELLO),
            OnSpeech("shall i win", FORBIDDEN),
            OnResponse(SAFE, where=instead_wanted),
            OnSpeech("thank you", THANKS),
        )
    )
    call = await office.twilio.dial(CALLER, number)
    await office.heard(call, sound(HELLO))
    call.say(tone("shall i win", 500))
    safe = sound(SAFE)
    await call.wait_until(lambda c: c.ear.audio().endswith(safe), office.patience_s)
    heard = call.ear.audio()
    assert heard.startswith(sound(HELLO)), "what it may say is heard whole"
    cut = heard[len(sound(HELLO)) : -len(safe)]
    assert sound(FORBIDDEN).startswith(cut), "then the answer, up to a point"
    assert len(cut) < HIDDEN_MS * 8, "which lies before the forbidden words"
    rest = sound(FORBIDDEN)[HIDDEN_MS * 8 :]
    assert not any(rest[at : at + 160] in heard for at in range(0, len(rest), 160))

    call.say(tone("thank you", 500))
    await call.wait_until(lambda c: c.ear.audio().endswith(sound(THANKS)), office.patience_s)
    assert call.ear.audio() == heard + sound(THANKS), "the call goes on"
    await script.finished()
    events = await office.hung_up(call)
    stopped = only(events, "output_stopped")
    assert stopped["rule"] == "forbidden[1]"
    item = stopped["item_id"]
    assert "guarantee" not in json.dumps(stopped)
    for about in ("barged_in", "heard"):
        (cut_at,) = [e for e in events if (e["event"], e.get("item_id")) == (about, item)]
        assert abs(cut_at["heard_ms"] - len(cut) / 8) <= office.clocks_ms, (
            "the log knows what was heard"
        )
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False, True, False, False]
    said = {e["text"] for e in events if e["event"] == "said" and e["done"]}
    assert {HELLO.text, SAFE.text, THANKS.text} <= said
    assert not any("guarantee" in line for _, line in office.stack.lines)
    return events


async def test_forbidden_words_are_never_heard(office) -> None:
    events = await cut_and_replaced(office, RULES)
    assert [e["mode"] for e in events if e["event"] == "mode_changed"] == ["conversation"]


async def test_the_list_holds_where_the_moderation_cannot_be_asked(office) -> None:
    # The simulated OpenAI has no moderation: what is asked fails, and counts as not flagged.
    await cut_and_replaced(office, MODERATED)
    assert any("sentence not moderated" in line for _, line in office.stack.lines)


async def test_a_model_that_insists_is_not_listened_to_any_longer(office) -> None:
    insisting = [
        OnResponse(Say(f"{LEAD}, {n}, I guarantee you that you will win.", audio_ms=6_000))
        for n in ("once more", "twice more", "for ever")
    ]
    office.follows(cuttable(*insisting))
    call = await office.twilio.dial(CALLER, RULES)
    prompt = shipped("keypad")
    await call.wait_until(lambda c: prompt in c.ear.audio(), office.patience_s)
    before = call.ear.audio().partition(prompt)[0]
    assert len(before) < 3 * 6_000 * 8 * len(LEAD) // (len(LEAD) + 40)
    for step in insisting:
        (say,) = step.parts
        whole = sound(say)
        hidden = whole[len(whole) * say.text.index("I guarantee") // len(say.text) :]
        assert not any(hidden[at : at + 160] in before for at in range(0, len(hidden), 160))
    await office.until(lambda: office.model.open_sockets == 0, "the session is closed")
    events = await office.hung_up(call)
    stopped = [e["rule"] for e in events if e["event"] == "output_stopped"]
    assert stopped == ["forbidden[1]"] * 3
    modes = [(e["mode"], e["reason"]) for e in events if e["event"] == "mode_changed"]
    assert [mode for mode, _ in modes] == ["conversation", "keypad"]
    assert "output check" in modes[1][1]
