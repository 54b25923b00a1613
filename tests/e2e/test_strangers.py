"""Who is let in: too many calls of a number, numbers never seen, numbers that are withheld."""

from datetime import UTC, datetime
from typing import Any

import pytest

from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

ONE_AT_ONCE = "+15550140400"
TWO_A_DAY = "+15550140401"
OPEN = "+15550140402"
GUESTS = "+15550140403"
CLOSED = "+15550140404"
SORRY = "We are sorry, we cannot take your call. Goodbye."
HELLO = Say("Hello.", audio_ms=400)
ANSWER = Say("There you are.", audio_ms=300)
REST = """
instructions = "Be brief."
greeting = "Greet the caller."
tools = ["create_task"]
[turn_detection]
silence_duration_ms = 200
"""
DAY = "2099-01-01"


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    profiles = {
        ONE_AT_ONCE: "[limits]\ncalls_at_once = 1\n",
        TWO_A_DAY: "[limits]\ncalls_a_day = 2\n",
        OPEN: '[strangers]\nunknown = "new"\nwithheld = "guest"\n',
        GUESTS: '[strangers]\nunknown = "guest"\nwithheld = "guest"\n',
        CLOSED: '[strangers]\nunknown = "refuse"\nwithheld = "refuse"\n',
    }
    for number, rest in profiles.items():
        head = f'name = "p{number[-3:]}"\nnumbers = ["{number}"]\n'
        (folder / f"{number[-3:]}.toml").write_text(head + REST + rest)
    env = {"ASSISTANTS_DIR": str(folder)}
    async with new_system(ai_agent=env, webhooks=env) as world:
        yield world


@pytest.fixture
async def door(house):
    """A system with a number for each bound and each policy."""
    house.begin()
    yield house
    await house.settle()


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


def standing(events: list[dict]) -> tuple[str, str]:
    admitted = only(events, "caller_admitted")
    return admitted["standing"], admitted["reason"]


async def let_in(world, caller: str, called: str):
    """A call that is answered: the caller hears the greeting, byte by byte."""
    script = world.script(OnResponse(HELLO), OnSpeech("are you there", ANSWER))
    call = await world.twilio.dial(caller, called)
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms))
    return call, script


async def greeted(world, caller: str, called: str) -> list[dict]:
    """A call that is answered, and over when the greeting was heard; its events."""
    script = world.script(OnResponse(HELLO))
    call = await world.twilio.dial(caller, called)
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms))
    await script.finished()
    return await world.hung_up(call)


async def goes_on(world, call, script) -> list[dict]:
    """The call works as ever until its caller hangs up; its events."""
    call.say(tone("are you there", 400))
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms), tone(ANSWER.text, ANSWER.audio_ms))
    await script.finished()
    assert call.ear.spoken == [], "Twilio says nothing by itself"
    events = await world.hung_up(call)
    assert only(events, "call_ended")["reason"] == "caller_hung_up"
    return events


async def refused(world, caller: str, called: str, why: str, counted: int = 0) -> None:
    """A call that is told one sentence and ended; no model ever hears of it."""
    sessions = len(world.model.connections)
    call = await world.twilio.dial(caller, called)
    events = await world.ended(call)
    assert [(spoken.verb, spoken.content) for spoken in call.ear.spoken] == [("Say", SORRY)]
    assert call.ear.audio() == b"", "and not a byte of anything else"
    assert call.end_reason == "hangup_verb"
    assert standing(events) == ("refused", why)
    assert only(events, "stream_closing")["intent"] == "refused"
    assert only(events, "call_ended")["reason"] == "refused"
    names = {event["event"] for event in events}
    assert not names & {"session_opened", "mode_changed", "said", "usage_reported"}
    assert len(world.model.connections) == sessions, "no socket at the model"
    assert world.model.refused == [], "nobody even tried"
    assert len(await admissions(world, call=call.sid)) == counted


async def admissions(world, **where: str) -> list[dict[str, Any]]:
    """The calls that were counted, of one number or one call."""
    ((column, value),) = where.items()
    name = {"number": "number", "call": "call_id"}[column]
    return await world.rows(f"select * from admitted_calls where {name} = $1", value)


async def records(world, number: str) -> list[dict[str, Any]]:
    return await world.rows("select * from callers where number = $1", number)


async def test_a_number_has_so_many_calls_at_once(door) -> None:
    eager, other = "+15550140410", "+15550140411"
    first, script = await let_in(door, eager, ONE_AT_ONCE)
    await refused(door, eager, ONE_AT_ONCE, "at_once")
    assert standing(await greeted(door, other, ONE_AT_ONCE)) == ("known", "")
    assert standing(await goes_on(door, first, script)) == ("known", "")

    # The line is free again as soon as the first call is over.
    await greeted(door, eager, ONE_AT_ONCE)
    counted = await admissions(door, number=eager)
    assert len(counted) == 2, "the first call and the last one"


async def test_a_number_has_so_many_calls_a_day(door) -> None:
    frequent = "+15550140412"
    day = datetime.now(UTC).date()
    for _ in range(2):
        await greeted(door, frequent, TWO_A_DAY)
    assert datetime.now(UTC).date() == day, "the day ended during the test: run it again"
    await refused(door, frequent, TWO_A_DAY, "a_day")
    assert len(await admissions(door, number=frequent)) == 2

    await greeted(door, "+15550140413", TWO_A_DAY)
    await greeted(door, frequent, OPEN)


async def creating(world, caller: str, called: str, what: str, status: str) -> tuple[str, list]:
    """The caller asks for a todo, and the tool answers with this status; what the model was told
    at the start, and the call's events."""
    arguments = {"date": DAY, "description": what}
    script = world.script(
        OnResponse(HELLO),
        OnSpeech("note this", CallTool("create_task", arguments, "c1")),
        expect_output("c1", lambda out: out["status"] == status),
        OnResponse(ANSWER),
    )
    call = await world.twilio.dial(caller, called)
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms))
    call.say(tone("note this", 400))
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms), tone(ANSWER.text, ANSWER.audio_ms))
    await script.finished()
    events = await world.hung_up(call)
    return only(events, "session_opened")["instructions"], events


async def todos(world, what: str) -> list[str]:
    """Whose todos these are: the numbers."""
    rows = await world.rows(
        "select number from todos join callers using (caller_id) where description = $1", what
    )
    return [row["number"] for row in rows]


async def test_an_unknown_number_gets_a_record_where_strangers_are_welcome(door) -> None:
    stranger = "+15550140420"
    assert await records(door, stranger) == []
    told, events = await creating(door, stranger, OPEN, "buy milk", "created")
    assert standing(events) == ("known", "")
    assert "The caller has no open todos." in told
    assert len(await records(door, stranger)) == 1
    assert await todos(door, "buy milk") == [stranger]
    assert only(events, "tool_returned")["outcome"] == "ok"

    # A guest only until there is a record: the same number is known everywhere now.
    told, events = await creating(door, stranger, GUESTS, "buy bread", "created")
    assert standing(events) == ("known", "")
    assert f"due {DAY}: buy milk" in told
    assert standing(await greeted(door, stranger, CLOSED)) == ("known", "")


@pytest.mark.parametrize(
    ("caller", "called", "why"),
    [
        ("+15550140421", GUESTS, "unknown"),
        ("anonymous", GUESTS, "withheld"),
        ("sip:bob@example.com", OPEN, "withheld"),
    ],
    ids=["unknown", "anonymous", "sip"],
)
async def test_a_guest_talks_and_leaves_nothing_behind(door, caller, called, why) -> None:
    before = await door.rows("select count(*) from callers")
    wish = f"secret of {why} at {called}"
    told, events = await creating(door, caller, called, wish, "failed")
    assert standing(events) == ("guest", why)
    assert "todos" not in told, "there is nothing to tell of"
    assert only(events, "tool_returned")["outcome"] != "ok"
    assert await records(door, caller) == []
    assert await door.rows("select count(*) from callers") == before
    assert await todos(door, wish) == []
    assert await door.rows("select 1 from tool_results where result::text ~ $1", wish) == []
    # Withheld numbers are many people: nobody counts their calls as one's.
    assert len(await admissions(door, number=caller)) == (1 if why == "unknown" else 0)


async def test_strangers_are_refused_where_the_profile_says_so(door) -> None:
    beside, script = await let_in(door, "+15550140423", OPEN)
    unknown = "+15550140422"
    # Let in by number and refused by the profile: counted, and no longer open.
    await refused(door, unknown, CLOSED, "unknown", counted=1)
    await refused(door, "anonymous", CLOSED, "withheld")
    await refused(door, "sip:bob@example.com", CLOSED, "withheld")
    for number in (unknown, "anonymous", "sip:bob@example.com"):
        assert await records(door, number) == []
    await goes_on(door, beside, script)
