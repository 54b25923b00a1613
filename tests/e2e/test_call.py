"""One whole call: what the caller's ear hears, what the log holds, what the database holds."""

import asyncio
import datetime as dt

import httpx

from protocol import codec
from protocol.call import CallState, fold
from protocol.ids import CallId
from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect, expect_output, tone

GREETING = Say("Hello, what would you like to do?", audio_ms=1_200)
ANSWER = Say("Buy milk is on your list.", audio_ms=1_000)
GOODBYE = Say("Goodbye.", audio_ms=700)
PLANS = "add buy milk to my list"
THANKS = "thank you goodbye"

IN_ORDER = (
    ("ringing", "stream_started", "assigned", "mode_changed", "session_opened"),
    ("session_opened", "said", "heard", "turn_committed", "turn_transcribed", "tool_called"),
    ("turn_committed", "tool_called", "tool_returned", "said", "response_timed", "heard"),
    ("usage_reported", "heard", "stream_stopped", "call_ended"),
    ("stream_stopped", "call_ended"),
)
"""Each row is a chain of causes; writers are independent of each other otherwise."""
WRITERS = {
    "webhooks": {"ringing", "status_changed", "call_ended"},
    "stream-ingress": {"stream_started", "heard", "stream_stopped", "call_ended"},
    "ai-agent": {
        *("assigned", "mode_changed", "session_opened", "said", "turn_committed"),
        *(
            "turn_transcribed",
            "caller_admitted",
            "key_pressed",
            "tool_called",
            "tool_returned",
            "usage_reported",
            "response_timed",
        ),
    },
}


def sound(say: Say) -> bytes:
    assert say.audio_ms is not None
    return tone(say.text, say.audio_ms)


def is_subsequence(wanted: tuple[str, ...], names: list[str]) -> bool:
    rest = iter(names)
    return all(name in rest for name in wanted)


def board_row(state: CallState) -> dict:
    """A call's row of /board.json, made from the fold by hand."""
    return {
        "call_id": state.call_id,
        "phase": state.phase,
        "end_reason": state.end_reason,
        "epoch": state.epoch,
        "leg": state.leg,
        "mode": state.mode,
        "utterances": [
            {
                "item_id": u.item_id,
                "party": u.party,
                "text": u.text,
                "heard": u.heard_text(),
                "done": u.done,
                "cut": u.cut,
            }
            for u in state.utterances
        ],
        "tools": [
            {
                "tool_call_id": t.tool_call_id,
                "name": t.name,
                "arguments": t.arguments,
                "outcome": t.outcome,
                "result": t.result,
            }
            for t in state.tools
        ],
        "keys": "".join(key.digit for key in state.keys),
        "response_ms": state.response_ms,
        "cost_usd": round(state.cost_usd, 9),
        "last_sequence": state.last_sequence,
    }


async def folded(world, call) -> CallState:
    """The fold of what the stream holds of a call."""
    replayed = await world.replay(f"call.{call.sid}.log.*")
    return fold(
        CallId(call.sid), ((n, codec.decode_event(codec.encode(event))) for n, event in replayed)
    )


async def test_a_call_from_the_first_ring_to_the_last_word(world) -> None:
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=3)
    script = world.script(
        expect(
            "session.update",
            lambda e: (
                {e["session"]["audio"][way]["format"]["type"] for way in ("input", "output")}
                == {"audio/pcmu"}
                and [tool["name"] for tool in e["session"]["tools"]]
                == ["get_tasks", "create_task", "complete_task", "delete_task", "end_call"]
            ),
        ),
        OnResponse(GREETING, where=lambda request: request.cause == "client"),
        OnSpeech(
            PLANS, CallTool("create_task", {"date": day.isoformat(), "description": "buy milk"})
        ),
        expect_output(
            where=lambda result: (
                result["status"] == "created" and result["todo"]["description"] == "buy milk"
            )
        ),
        OnResponse(ANSWER),
        OnSpeech(THANKS, GOODBYE),
    )
    loop = asyncio.get_running_loop()
    call = await world.dial("+15550110001")
    await world.heard(call, sound(GREETING))

    assert call.press("A")  # a key that no menu has: written down, and told to nobody
    assert await call.say(tone(PLANS, 900))
    asked_ms = call.now_ms()
    await world.heard(call, sound(GREETING), sound(ANSWER))
    answered_ms = call.ear.last_heard_ms - ANSWER.audio_ms
    assert await call.say(tone(THANKS, 600))
    await world.heard(call, sound(GREETING), sound(ANSWER), sound(GOODBYE))
    await script.finished()
    await world.until(lambda: len(world.events(call, "heard")) == 3, "the last word was heard")

    socket = world.connection(call)
    assert socket.close_code is None
    await call.hang_up()
    began = loop.time()
    await world.until(lambda: socket.close_code is not None, "the model's socket closes")
    await world.logged(call, "call_ended")
    assert loop.time() - began < 10.0, "nothing of it waits for a deadline"
    events = await world.ended(call)

    # The ear: every byte, and nothing else.
    assert call.ear.audio() == sound(GREETING) + sound(ANSWER) + sound(GOODBYE)
    assert call.end_reason == "caller_hung_up"
    assert call.ear.spoken == []

    # The log.
    names = [event["event"] for event in events]
    for chain in IN_ORDER:
        assert is_subsequence(chain, names), f"{chain} is not in {names}"
    assert {name for each in WRITERS.values() for name in each} == set(names)
    assert all(event["event"] in WRITERS[event["service"]] for event in events)
    for once in ("ringing", "stream_started", "assigned", "session_opened", "call_ended"):
        assert names.count(once) == 1
    assert len({event["id"] for event in events}) == len(events)
    (ended,) = world.events(call, "call_ended")
    assert ended["reason"] == "caller_hung_up"
    heard = [(e["heard_ms"], e["sent_ms"], e["cut"]) for e in world.events(call, "heard")]
    assert heard == [(ms, ms, False) for ms in (1_200, 1_000, 700)]
    (stopped,) = world.events(call, "stream_stopped")
    assert (stopped["reason"], stopped["dropped_frames"]) == ("stop", 0)
    assert stopped["frames"] == call.streams[0].frames_sent
    first, second = (e["response_ms"] for e in world.events(call, "response_timed"))
    assert min(first, second) >= 500, "the model waits for half a second of silence"
    assert abs(first - (answered_ms - asked_ms)) < 2 * world.clocks_ms, (
        "as the caller would measure it"
    )
    sources = {event["source"] for event in world.events(call, "usage_reported")}
    assert "response" in sources

    # The stream replays what was live, and its fold is the conversation.
    replayed = await world.replay(f"call.{call.sid}.log.*")
    assert [event for _, event in replayed] == events
    state = await folded(world, call)
    assert [(u.party, u.text, u.cut) for u in state.utterances] == [
        ("assistant", GREETING.text, False),
        ("caller", PLANS, False),
        ("assistant", ANSWER.text, False),
        ("caller", THANKS, False),
        ("assistant", GOODBYE.text, False),
    ]
    assert (state.phase, state.end_reason, state.twilio_status) == (
        "ended",
        "caller_hung_up",
        "completed",
    )
    assert [key.digit for key in state.keys] == ["A"]
    (use,) = state.tools
    (returned,) = world.events(call, "tool_returned")
    assert (use.name, use.outcome, use.key) == ("create_task", "ok", returned["called"])

    # The database.
    (todo,) = await world.rows(
        "select description, deadline, completed_at from todos join callers using (caller_id)"
        " where number = $1",
        "+15550110001",
    )
    assert todo == {"description": "buy milk", "deadline": day, "completed_at": None}
    (stored,) = await world.rows("select tool from tool_results where key = $1", use.key)
    assert stored == {"tool": "create_task"}

    # The board is the same fold.
    bearer = {"authorization": f"Bearer {world.desk_token}"}
    async with httpx.AsyncClient(trust_env=False, headers=bearer) as client:
        board = (await client.get(f"{world.stack.dashboard_url}/board.json")).json()
    (row,) = [row for row in board["calls"] if row["call_id"] == call.sid]
    assert row == board_row(state)


async def test_the_next_call_of_a_person_knows_what_the_last_one_wrote(world) -> None:
    """And nobody else's does."""
    somebody, nobody = "+15550110002", "+15550110003"
    day = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    create = CallTool("create_task", {"date": day.isoformat(), "description": "feed the cat"})
    world.script(OnResponse(GREETING), OnSpeech(PLANS, create), expect_output(), OnResponse(ANSWER))
    call = await world.dial(somebody)
    await world.heard(call, sound(GREETING))
    call.say(tone(PLANS, 600))
    await world.heard(call, sound(GREETING), sound(ANSWER))
    await world.hung_up(call)
    for number, knows in ((somebody, True), (nobody, False)):
        script = world.script(OnResponse(GREETING))
        call = await world.dial(number)
        await world.heard(call, sound(GREETING))
        await script.finished()
        (opened,) = world.events(call, "session_opened")
        assert ("feed the cat" in opened["instructions"]) is knows
        await world.hung_up(call)
