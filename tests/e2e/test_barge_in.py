"""A caller who speaks over the assistant: silence at once, and a transcript of what was heard."""

from protocol import codec
from protocol.call import fold
from protocol.ids import CallId
from testbed.realtime import AnyOrder, OnResponse, OnSpeech, Say, expect_truncate, tone

BYTES_PER_MS = 8
LONG = Say(" ".join(f"number {n} of a list that nobody can stand" for n in range(40)), 20_000)
YES = Say("Yes, what is it?", 800)
LATER = Say("As I said before.", 900)
STOP = "wait a moment please"


def told(connection) -> list[dict]:
    return [e for e in connection.received if e["type"] == "conversation.item.truncate"]


async def interrupted(world, call, *, after_ms: float) -> int:
    """Speak over LONG once `after_ms` of it were heard, listen to YES; the ms of LONG heard."""
    await call.wait_until(lambda c: c.ear.heard_ms() >= after_ms, world.patience_s)
    call.say(tone(STOP, 700))
    answer = tone(YES.text, YES.audio_ms)
    await call.wait_until(lambda c: c.ear.audio().endswith(answer), world.patience_s)
    old = call.ear.audio()[: -len(answer)]
    assert tone(LONG.text, LONG.audio_ms).startswith(old), "after the clear nothing of it is heard"
    assert len(old) >= after_ms * BYTES_PER_MS
    return len(old) // BYTES_PER_MS


async def check_the_cut(world, call, heard_ms: int) -> None:
    """Model, log and fold agree with the ear."""
    (truncate,) = told(world.connection(call))
    said = world.events(call, "said")
    assert truncate["item_id"] == said[0]["item_id"]
    assert abs(truncate["audio_end_ms"] - heard_ms) <= world.clocks_ms
    await world.logged(call, "barged_in", "heard")
    (barged_in,) = world.events(call, "barged_in")
    assert barged_in["item_id"] == truncate["item_id"]
    assert barged_in["heard_ms"] == truncate["audio_end_ms"]
    events = await world.hung_up(call)
    (cut,) = [e for e in events if e["event"] == "heard" and e["item_id"] == truncate["item_id"]]
    assert cut["cut"]
    assert abs(cut["heard_ms"] - heard_ms) <= world.clocks_ms
    assert cut["sent_ms"] > cut["heard_ms"]
    entries = await world.replay(f"call.{call.sid}.log.*")
    state = fold(
        CallId(call.sid), ((n, codec.decode_event(codec.encode(event))) for n, event in entries)
    )
    first, caller, answer = state.utterances[:3]
    assert (first.party, first.cut) == ("assistant", True)
    assert abs(first.heard_ms - heard_ms) <= world.clocks_ms
    words = first.heard_text()
    assert words.endswith("…")
    assert LONG.text.startswith(words[:-1])
    share = heard_ms / LONG.audio_ms
    assert abs(len(words) / len(LONG.text) - share) < 0.1, "about as much text as sound"
    assert (caller.text, answer.text, answer.cut) == (STOP, YES.text, False)


async def test_speaking_over_a_long_answer_that_is_still_being_made(world) -> None:
    world.model.habits.pace = 1.5
    try:
        script = world.script(
            OnResponse(LONG), AnyOrder(expect_truncate(1, 19_000), OnSpeech(STOP, YES))
        )
        call = await world.dial()
        heard_ms = await interrupted(world, call, after_ms=1_500)
        await script.finished()
        ended = world.events(call, "response_ended")
        assert [(e["status"], e["reason"]) for e in ended] == [("cancelled", "turn_detected")]
        await check_the_cut(world, call, heard_ms)
    finally:
        world.model.habits.pace = 10.0


async def test_speaking_over_an_answer_that_was_made_long_ago(world) -> None:
    """The model has finished and forgotten; Twilio still plays."""
    world.model.habits.pace = 0
    try:
        script = world.script(
            OnResponse(LONG), AnyOrder(expect_truncate(1, 19_000), OnSpeech(STOP, YES))
        )
        call = await world.dial()
        await world.follower.wait(
            call.sid, lambda es: any(e["event"] == "said" and e["done"] for e in es), 30
        )
        (said,) = [e for e in world.events(call, "said") if e["done"]]
        assert said["generated_ms"] == LONG.audio_ms
        heard_ms = await interrupted(world, call, after_ms=2_000)
        await script.finished()
        assert world.events(call, "response_ended") == []
        await check_the_cut(world, call, heard_ms)
    finally:
        world.model.habits.pace = 10.0


async def test_speaking_when_all_was_heard_cuts_nothing(world) -> None:
    script = world.script(OnResponse(YES), OnSpeech("and then", LATER))
    call = await world.dial()
    await world.heard(call, tone(YES.text, 800))
    await world.logged(call, "heard")
    call.say(tone("and then", 500))
    await world.heard(call, tone(YES.text, 800), tone(LATER.text, 900))
    await script.finished()
    await world.until(lambda: len(world.events(call, "heard")) == 2, "all was heard")
    events = await world.hung_up(call)
    assert told(world.model.connections[-1]) == []
    assert "barged_in" not in {event["event"] for event in events}
    assert [e["cut"] for e in events if e["event"] == "heard"] == [False, False]
    assert [stream.playout.clears for stream in call.streams] == [0]
