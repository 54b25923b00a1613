"""What a call costs, and what happens when a call or a day has cost enough."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources

import httpx
import pytest

from testbed.realtime import OnResponse, OnSpeech, Say, tone

PRICED = "+15550140300"
SMALL = "+15550140301"
SHARED = "+15550140302"
CALLER = "+15550140310"
OTHER = "+15550140311"
THIRD = "+15550140312"
REST = """
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
arguments = { period = "today" }
"""
PRICES = {
    "text_in": 4.0,
    "cached_text_in": 0.5,
    "audio_in": 32.0,
    "cached_audio_in": 0.25,
    "text_out": 24.0,
    "audio_out": 64.0,
}
MINUTE = 0.6
PRICE_LIST = f"[prices]\nsince = 2026-11-22\ntranscription_minute = {MINUTE}\n" + "".join(
    f"{name} = {usd}\n" for name, usd in PRICES.items()
)
ONLY_SPEECH = "[prices]\nsince = 2026-11-22\naudio_out = 1000.0\n"
"""A tenth of a cent for each 50 ms that the model speaks, and nothing else."""
USD_A_MS = 0.001 / 50
CALL_USD = 0.015
DAY_USD = 0.020
LONG_BRIEF = "Speak of nothing but todos. " * 20
"""Enough text and, with the long greeting, audio that the model caches some of it."""
LONG_HELLO = Say("Hello, I can tell you about everything that you have planned.", audio_ms=3_400)
HELLO = Say("Hello.", audio_ms=600)
ANSWER = Say("There is nothing.", audio_ms=400)
CHOICES = "Press 1 for today."


def shipped(name: str) -> bytes:
    """A prompt as the installation speaks it."""
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


def sound(say: Say) -> bytes:
    return tone(say.text, say.audio_ms)


@pytest.fixture(scope="module")
async def bank(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("money")
    profiles = {
        PRICED: REST.replace("Be brief.", LONG_BRIEF) + PRICE_LIST,
        SMALL: f"{REST}{ONLY_SPEECH}[limits]\ncall_usd = {CALL_USD}\n",
        SHARED: f"{REST}{ONLY_SPEECH}[limits]\nday_usd = {DAY_USD}\n",
    }
    for number, rest in profiles.items():
        head = f'name = "p{number[-3:]}"\nnumbers = ["{number}"]\n'
        (folder / f"{number[-3:]}.toml").write_text(head + rest)
    folder_of = {"ASSISTANTS_DIR": str(folder)}
    agent = folder_of | {"SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=agent, webhooks=folder_of) as world:
        await world.stack.add_agent()
        yield world


@pytest.fixture
async def office(bank):
    """Two workers and three numbers: with every price, a budget of a call, a budget of a day."""
    bank.begin()
    yield bank
    await bank.settle()


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


def modes(events: list[dict]) -> list[str]:
    return [event["mode"] for event in events if event["event"] == "mode_changed"]


def priced(used: dict) -> Decimal:
    """USD of a response's usage as the model sent it, by OpenAI's rule: cached tokens are part of
    the input ones and have a price of their own."""
    read, written = used["input_token_details"], used["output_token_details"]
    cached = read["cached_tokens_details"]
    amounts = {
        "text_in": read["text_tokens"] - cached["text_tokens"],
        "cached_text_in": cached["text_tokens"],
        "audio_in": read["audio_tokens"] - cached["audio_tokens"],
        "cached_audio_in": cached["audio_tokens"],
        "text_out": written["text_tokens"],
        "audio_out": written["audio_tokens"],
    }
    assert set(amounts) == set(PRICES)
    return sum((Decimal(n) * Decimal(str(PRICES[k])) for k, n in amounts.items()), Decimal(0)) / (
        10**6
    )


async def told(world, call, text: str) -> dict:
    """Wait until the keypad's sentence with these words was heard to its end; what was said."""

    def found(events: list[dict]) -> list[dict]:
        whole = {e["item_id"] for e in events if e["event"] == "heard" and not e["cut"]}
        said = [e for e in events if e["event"] == "said" and e["done"] and text in e["text"]]
        return [event for event in said if event["item_id"] in whole]

    there = await world.follower.wait(call.sid, lambda es: bool(found(es)), 30)
    assert there, f"not heard: {text}; but {[e['text'] for e in world.events(call, 'said')]}"
    return found(world.events(call))[0]


async def fallen(world, call, limit: str, *before: bytes) -> None:
    """A call that spent enough: all that the model said is heard, one sentence says what follows,
    then the keypad's choices, which lead to no model again."""
    choices = await told(world, call, CHOICES)
    polite = b"".join(before) + shipped("budget")
    heard = call.ear.audio()
    assert heard.startswith(polite), "nothing is cut, and a sentence tells why"
    assert abs(len(heard) - len(polite) - choices["generated_ms"] * 8) <= 20 * 8
    assert "assistant" not in choices["text"], "there is no money to speak with it"
    events = world.events(call)
    assert only(events, "limit_reached")["limit"] == limit
    assert modes(events) == (["conversation", "keypad"] if before else ["keypad"])
    keypad = [event for event in events if event["event"] == "mode_changed"][-1]
    assert keypad["reason"] == "budget"


def cost(events: list[dict]) -> Decimal:
    """What the log says that a call cost."""
    used = [event for event in events if event["event"] == "usage_reported"]
    return sum((Decimal(repr(event["cost_usd"])) for event in used), Decimal(0))


async def cost_at_the_desk(world, call) -> Decimal:
    """What the board of the desk shows for a call that is over."""
    async with httpx.AsyncClient(trust_env=False) as desk, asyncio.timeout(world.patience_s):
        while True:
            bearer = {"authorization": f"Bearer {world.desk_token}"}
            url = f"{world.stack.dashboard_url}/board.json"
            board = (await desk.get(url, headers=bearer)).json()
            (row,) = [row for row in board["calls"] if row["call_id"] == call.sid]
            if row["phase"] == "ended":
                return Decimal(repr(row["cost_usd"]))
            await asyncio.sleep(0.05)


async def test_every_kind_of_token_has_its_price_and_the_call_adds_up(office) -> None:
    script = office.script(
        OnResponse(LONG_HELLO), OnSpeech("what is there today", ANSWER), OnSpeech("so", ANSWER)
    )
    call = await office.twilio.dial(CALLER, PRICED)
    await office.heard(call, sound(LONG_HELLO))
    call.say(tone("what is there today", 600))
    await office.heard(call, sound(LONG_HELLO), sound(ANSWER))
    call.say(tone("so", 300))
    await office.heard(call, sound(LONG_HELLO), sound(ANSWER), sound(ANSWER))
    await script.finished()
    sent = office.connection(call).sent
    events = await office.hung_up(call)

    used = {e["reference"]: e for e in events if e["event"] == "usage_reported"}
    assert len(used) == 5, "three responses and two turns"
    total = Decimal(0)
    responses = [e["response"] for e in sent if e["type"] == "response.done"]
    for response in responses:
        event = used.pop(response["id"])
        assert event["source"] == "response"
        usd = priced(response["usage"])
        assert Decimal(repr(event["cost_usd"])) == usd > 0
        total += usd
    details = [r["usage"]["input_token_details"]["cached_tokens_details"] for r in responses]
    assert details[-1]["text_tokens"] > 0, "the price of cached text was looked at"
    assert details[-1]["audio_tokens"] > 0, "and that of cached audio"
    heard = [e for e in sent if e["type"].endswith("input_audio_transcription.completed")]
    assert len(heard) == 2
    for turn in heard:
        event = used.pop(turn["item_id"])
        assert event["source"] == "transcription"
        # OpenAI counts a token for each 100 ms of a caller's speech.
        seconds = Decimal(turn["usage"]["input_token_details"]["audio_tokens"]) / 10
        usd = seconds / 60 * Decimal(str(MINUTE))
        assert abs(Decimal(repr(event["cost_usd"])) - usd) < Decimal("1e-8")
        total += Decimal(repr(event["cost_usd"]))
    assert used == {}

    assert cost(events) == total
    assert not {"limit_reached"} & {event["event"] for event in events}, "without a limit"
    assert abs(await cost_at_the_desk(office, call) - total) < Decimal("1e-8")


async def test_a_call_that_spent_its_budget_goes_on_with_the_keypad(office) -> None:
    script = office.script(OnResponse(HELLO), OnSpeech("what is there today", ANSWER))
    call = await office.twilio.dial(CALLER, SMALL)
    await office.heard(call, sound(HELLO))
    await office.logged(call, "usage_reported")
    assert cost(office.events(call)) == Decimal("0.012"), "the greeting is within the budget"
    call.say(tone("what is there today", 600))
    await fallen(office, call, "call_usd", sound(HELLO), sound(ANSWER))
    await script.finished()
    await office.until(lambda: office.model.open_sockets == 0, "the session is closed")

    assert call.press("1")
    await told(office, call, "You don't have any todos for today.")
    before = call.ear.audio()
    assert call.press("*")
    no_way = shipped("keypad_unknown_key")
    await call.wait_until(lambda c: no_way in c.ear.audio()[len(before) :], office.patience_s)
    assert len(office.model.connections) == 1, "no key leads to the model again"
    events = await office.hung_up(call)
    assert cost(events) == Decimal("0.020")
    assert only(events, "tool_returned")["outcome"] == "ok"
    assert [e["digit"] for e in events if e["event"] == "key_pressed"] == ["1", "*"]
    assert only(events, "call_ended")["reason"] == "caller_hung_up"


async def test_the_day_has_one_budget_for_all_workers(office) -> None:
    first_script = office.script(OnResponse(HELLO), OnSpeech("what is there today", ANSWER))
    first = await office.twilio.dial(CALLER, SHARED)
    await office.heard(first, sound(HELLO))
    await office.logged(first, "usage_reported")
    assert modes(office.events(first)) == ["conversation"], "0.012 of 0.020 are spent"

    office.script(OnResponse(HELLO))
    second = await office.twilio.dial(OTHER, SHARED)
    await office.logged(second, "limit_reached")
    workers = [only(office.events(call), "assigned")["worker"] for call in (first, second)]
    assert len({*workers}) == 2, "each call has a worker of its own"
    assert cost(office.events(second)) == Decimal("0.012"), "alone it would be within the budget"

    # The first call learns it with the next thing that it spends, a new one before it spends any.
    first.say(tone("what is there today", 600))
    third = await office.twilio.dial(THIRD, SHARED)
    async with asyncio.TaskGroup() as group:
        group.create_task(fallen(office, second, "day_usd", sound(HELLO)))
        group.create_task(fallen(office, first, "day_usd", sound(HELLO), sound(ANSWER)))
        group.create_task(fallen(office, third, "day_usd"))
    assert cost(office.events(first)) == Decimal("0.020")
    await first_script.finished()

    spent = Decimal("0.012") + Decimal("0.012") + Decimal("0.008")
    rows = await office.rows("select day, usd from day_spend")
    assert sum(row["usd"] for row in rows) == spent, "one number, of two calls and two workers"
    assert len(office.model.connections) == 2, "no session for the third"
    assert {row["day"] for row in rows} <= {datetime.now(UTC).date(), third.created.date()}
    calls = (first, second, third)
    reported = [e for c in calls for e in office.events(c, "usage_reported") if e["cost_usd"]]
    entries = await office.rows("select key, usd from spend_entries")
    assert {row["key"]: row["usd"] for row in entries} == {
        event["id"]: Decimal(repr(event["cost_usd"])) for event in reported
    }
    for call in calls:
        await office.hung_up(call)
