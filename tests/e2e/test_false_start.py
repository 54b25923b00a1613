"""A noise over the assistant: it falls silent, finds that nobody said anything, and goes on."""

from testbed.realtime import AnyOrder, OnResponse, OnSpeech, Say, expect, expect_truncate, tone
from testbed.realtime.minds import Pause, Request

BYTES_PER_MS = 8
LONG = Say(" ".join(f"number {n} of a list that somebody wants" for n in range(40)), 20_000)
DROPPED = Say("Sorry, I did not catch that.", 1_500)
REST = Say("and this is the rest of the list.", 1_200)
THANKS = Say("You are welcome.", 700)
COUGH = tone("a cough", 500)


def told_to_go_on(request: Request) -> bool:
    """The last thing that the model knows is that it was cut by noise, and where."""
    last = request.items[-1].shown()
    text = last["content"][0]["text"]
    words = text.partition('"')[2].partition("…")[0]
    return (
        (request.cause, last["role"]) == ("client", "system")
        and "only noise" in text
        and len(words) > 0
        and LONG.text.startswith(words)
        and not any(item.wire.get("role") == "user" for item in request.items)
    )


async def test_noise_over_a_long_answer(world) -> None:
    script = world.script(
        OnResponse(LONG),
        # The answer to the noise would come: it is thought about, as long as it takes.
        AnyOrder(expect_truncate(1, 19_000), OnSpeech("", Pause(60_000), DROPPED)),
        expect("response.cancel"),
        expect("conversation.item.delete"),
        OnResponse(REST, where=told_to_go_on),
        OnSpeech("thank you", THANKS),
    )
    call = await world.dial()
    await call.wait_until(lambda c: c.ear.heard_ms() >= 1_500, world.patience_s)
    call.say(COUGH)
    rest = tone(REST.text, REST.audio_ms)
    await call.wait_until(lambda c: c.ear.audio().endswith(rest), world.patience_s)
    before = call.ear.audio()[: -len(rest)]
    assert tone(LONG.text, LONG.audio_ms).startswith(before), "nothing of the dropped answer"
    assert len(before) >= 1_500 * BYTES_PER_MS
    await world.logged(call, "barged_in", "resumed")
    (cut,), (resumed,) = world.events(call, "barged_in"), world.events(call, "resumed")
    assert (resumed["item_id"], resumed["reason"]) == (cut["item_id"], "noise")
    (turn,) = world.events(call, "turn_transcribed")
    assert (turn["text"], turn.get("failed", False)) == ("", False)
    deleted = [
        e["item_id"]
        for e in world.connection(call).received
        if e["type"] == "conversation.item.delete"
    ]
    assert deleted == [turn["item_id"]]
    call.say(tone("thank you", 500))
    thanks = tone(THANKS.text, THANKS.audio_ms)
    await call.wait_until(lambda c: c.ear.audio().endswith(thanks), world.patience_s)
    await script.finished()
    events = await world.hung_up(call)
    assert [e["item_id"] for e in events if e["event"] == "resumed"] == [cut["item_id"]]
    said = [e["text"] for e in events if e["event"] == "said" and e["done"]]
    assert said[-2:] == [REST.text, THANKS.text]
    assert DROPPED.text not in said


async def test_noise_when_all_was_heard_is_left_to_the_model(world) -> None:
    script = world.script(OnResponse(REST), OnSpeech("", THANKS))
    call = await world.dial()
    await world.heard(call, tone(REST.text, REST.audio_ms))
    await world.logged(call, "heard")
    call.say(COUGH)
    await world.heard(call, tone(REST.text, 1_200), tone(THANKS.text, 700))
    await script.finished()
    events = await world.hung_up(call)
    assert not {"barged_in", "resumed"} & {event["event"] for event in events}
