"""The line of a placed call: audio both ways, marks and clears, keys, replay, epochs, the end."""

import asyncio
import base64
import json
import secrets

import pytest

from protocol import events as e
from stream_ingress import leg, outgoing


async def test_audio_passes_both_ways_byte_for_byte(world) -> None:
    phone, agent = await world.placed()
    await phone.talk(400)
    await phone.talk_until(lambda: len(agent.audio) >= 160 * 20, "caller audio arrives")
    first = agent.of("clock")[0]["line_ms"]
    assert bytes(agent.audio) == bytes(phone.sent[first * 8 :][: len(agent.audio)])
    assert agent.heard[0][0] == "clock"  # the time comes before the first frame

    speech = secrets.token_bytes(160 * 50 + 7)
    await agent.out("item", item_id="item_1")
    for start in range(0, len(speech), 900):
        await agent.speak(speech[start : start + 900])
    await agent.out("done", item_id="item_1")
    await phone.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "all was heard")
    assert phone.ear.audio() == speech
    assert phone.playout.refusals == []

    heard = agent.of("heard")
    assert [h["heard_ms"] for h in heard] == sorted(h["heard_ms"] for h in heard)
    assert heard[-1]["heard_ms"] == len(speech) // 8
    assert [h["done"] for h in heard].count(True) == 1
    (event,) = await world.logged(phone.call, e.Heard)
    assert (event.item_id, event.heard_ms, event.sent_ms, event.cut) == (
        "item_1",
        len(speech) // 8,
        len(speech) // 8,
        False,
    )


@pytest.mark.parametrize("frames", [50, 51])
async def test_the_callers_last_words_arrive_also_when_no_batch_is_full(world, frames) -> None:
    phone, agent = await world.placed()
    await phone.talk(20 * frames)
    await phone.hang_up()
    await world.logged(phone.call, e.CallEnded)
    said = bytes(phone.sent[agent.of("clock")[0]["line_ms"] * 8 :])
    async with asyncio.timeout(10):
        while len(agent.audio) < len(said):
            await asyncio.sleep(0.01)
    assert bytes(agent.audio) == said


async def test_a_clear_is_answered_with_the_exact_playhead(world) -> None:
    phone, agent = await world.placed()
    begun = phone.now_ms
    await agent.out("item", item_id="item_1")
    await agent.speak(secrets.token_bytes(8 * 600))
    await agent.out("done", item_id="item_1")
    await agent.out("item", item_id="item_2")
    await agent.speak(secrets.token_bytes(8 * 3000))
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 1000, "a second was heard")
    assert phone.now_ms - begun < 3000
    await agent.out("clear", n=1)
    await phone.talk_until(lambda: agent.of("cleared"), "cleared")
    (cleared,) = agent.of("cleared")
    assert cleared["n"] == 1
    (head,) = cleared["items"]
    heard_of_second = phone.ear.heard_ms(to_ms=cleared["line_ms"]) - 600
    assert head["item_id"] == "item_2"
    assert not head["done"]
    assert abs(head["heard_ms"] - heard_of_second) <= 100
    assert phone.playout.clears == 1

    # The marks that Twilio echoes because of the clear count nothing.
    before = len(agent.of("heard"))
    await phone.talk(500)
    assert len(agent.of("heard")) == before
    first, second = await world.logged(phone.call, e.Heard, 2)
    assert (first.item_id, first.cut) == ("item_1", False)
    assert (second.item_id, second.heard_ms, second.cut) == ("item_2", head["heard_ms"], True)

    # An old or repeated clear changes nothing and is answered.
    await agent.out("item", item_id="item_3")
    await agent.speak(secrets.token_bytes(8 * 400))
    await agent.out("clear", n=1)
    await phone.talk_until(lambda: len(agent.of("cleared")) == 2, "answered again")
    assert agent.of("cleared")[1] == cleared
    assert phone.playout.clears == 1


async def test_keys_pass_with_their_time_and_are_replayed(world) -> None:
    phone, agent = await world.placed()
    await phone.talk(200)
    await phone.press("7")
    await phone.talk_until(lambda: agent.of("dtmf"), "the key arrives")
    (key,) = agent.of("dtmf")
    assert key["digit"] == "7"
    replay, _ = await agent.replay(call=phone.call, leg=agent.leg, from_ms=100, to_ms=10_000)
    assert replay["keys"] == [key]
    assert [chunk["line_ms"] for chunk in replay["audio"]] == [100]
    names = {type(entry.event) for entry in await world.log(phone.call)}
    assert e.KeyPressed not in names


async def test_what_was_said_before_the_agent_is_in_the_ring_only(world) -> None:
    phone = await world.call(line_ms=5000)
    await phone.talk(300)
    agent = await world.agent()
    await phone.talk_until(lambda: agent.audio, "the line is live")
    assert agent.asked[0]["ring_from_ms"] == 5000
    live = agent.of("clock")[0]["line_ms"]
    assert live >= 5300
    replay, _ = await agent.replay(call=phone.call, leg=agent.leg, from_ms=5000, to_ms=live)
    said = b"".join(base64.b64decode(chunk["audio"]) for chunk in replay["audio"])
    assert said == bytes(phone.sent[: (live - 5000) * 8])
    assert bytes(agent.audio) == bytes(phone.sent[len(said) :][: len(agent.audio)])


async def test_replay_of_an_unknown_leg_is_an_error_reply(world) -> None:
    phone, agent = await world.placed()
    for number, call in ((agent.leg + 1, phone.call), (agent.leg, world.new_call())):
        _, headers = await agent.replay(call=call, leg=number, from_ms=0, to_ms=100)
        assert headers["Nats-Service-Error-Code"] == "404"
    _, headers = await agent.replay(call=phone.call)
    assert headers["Nats-Service-Error-Code"] == "400"


async def test_a_gap_of_the_line_is_told(world) -> None:
    phone, agent = await world.placed()
    phone.now_ms += 500
    count = len(agent.of("clock"))
    at = phone.now_ms
    await phone.frame()
    await another_clock(phone, agent, count)
    assert agent.of("clock")[-1]["line_ms"] == at


async def another_clock(phone, agent, count) -> None:
    async with asyncio.timeout(10):
        while len(agent.of("clock")) <= count:
            await asyncio.sleep(0.005)


async def test_a_worker_that_lost_the_call_is_not_heard(world) -> None:
    phone, old = await world.placed()
    await old.out("item", item_id="old_1")
    await old.speak(secrets.token_bytes(1600))
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 200, "the old one is heard")

    new = await world.agent()
    await new.listen(phone.call, old.leg)
    new.epoch = await new.take(phone.call, old.leg, old.epoch)
    words = secrets.token_bytes(160 * 20)
    await new.out("item", item_id="new_1")
    await new.speak(words)
    await old.speak(secrets.token_bytes(1600))
    await old.out("clear", n=1)
    await old.out("end", intent="hangup")
    await new.out("done", item_id="new_1")
    await phone.talk_until(
        lambda: any(h["done"] and h["item_id"] == "new_1" for h in new.of("heard")), "heard"
    )
    assert phone.ear.audio().endswith(words)
    assert phone.ear.heard_ms() == 200 + 400
    assert phone.playout.clears == 0
    assert new.of("cleared") == []
    first, second = await world.logged(phone.call, e.Heard, 2)
    assert (first.item_id, first.cut) == ("old_1", True)  # nobody said that it was complete
    assert (second.item_id, second.cut) == ("new_1", False)


async def test_end_closes_after_the_last_word(world) -> None:
    phone, agent = await world.placed()
    goodbye = secrets.token_bytes(8 * 700)
    await agent.out("item", item_id="bye")
    await agent.speak(goodbye)
    await agent.out("done", item_id="bye")
    await agent.out("end", intent="transfer")
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 600, "most is heard")
    assert await world.logged(phone.call, e.StreamStarted)
    assert not [x for x in await world.log(phone.call) if isinstance(x.event, e.StreamClosing)]
    await phone.talk(200)
    assert await phone.closed() == (1000, "transfer")
    assert phone.ear.audio() == goodbye
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    assert stopped.reason == "closed"
    kinds = [type(x.event) for x in await world.log(phone.call)]
    assert kinds == [e.StreamStarted, e.Assigned, e.Heard, e.StreamClosing, e.StreamStopped]


async def test_the_callers_stop_ends_the_call(world) -> None:
    phone, agent = await world.placed()
    await agent.out("item", item_id="item_1")
    await agent.speak(secrets.token_bytes(8 * 1000))
    await phone.talk_until(lambda: phone.ear.heard_ms() >= 300, "some is heard")
    await phone.hang_up()
    assert (await phone.closed())[0] == 1000
    (ended,) = await world.logged(phone.call, e.CallEnded)
    assert ended.reason == "caller_hung_up"
    kinds = [type(x.event) for x in await world.log(phone.call)]
    assert kinds == [e.StreamStarted, e.Assigned, e.Heard, e.StreamStopped, e.CallEnded]
    heard = (await world.logged(phone.call, e.Heard))[0]
    assert heard.cut
    assert 260 <= heard.heard_ms <= 400
    stopped = (await world.logged(phone.call, e.StreamStopped))[0]
    assert (stopped.reason, stopped.frames) == ("stop", len(phone.sent) // 160)


async def test_a_stop_after_redirecting_does_not_end_the_call(world) -> None:
    phone, _ = await world.placed()
    await webhooks_redirects(world, phone.call)
    await phone.hang_up()
    await phone.closed()
    await world.logged(phone.call, e.StreamStopped)
    world.shutdown.ask()
    await world.serving
    assert not [x for x in await world.log(phone.call) if isinstance(x.event, e.CallEnded)]


async def webhooks_redirects(world, call: str) -> None:
    event = {
        "event": "redirecting",
        "id": secrets.token_hex(16),
        "call_id": call,
        "at": "2026-01-01T00:00:00Z",
        "service": "webhooks",
        "worker": "w",
        "reason": "transfer",
    }
    await world.client.jetstream().publish(
        f"call.{call}.log.redirecting", json.dumps(event).encode()
    )


async def test_a_socket_that_breaks_is_lost_and_leaves_nothing(world) -> None:
    phone, _ = await world.placed()
    tasks = {task.get_name() for task in asyncio.all_tasks()}
    assert "leg.watching" in tasks
    phone.socket.transport.abort()
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    assert stopped.reason == "lost"
    async with asyncio.timeout(10):
        while any(task.get_name().startswith(("leg.", "socket.")) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)
    assert not [x for x in await world.log(phone.call) if isinstance(x.event, e.CallEnded)]


@pytest.mark.parametrize("count", [5])
async def test_calls_do_not_mix(world, count) -> None:
    agents = {}
    phones = []
    for _ in range(count):
        phone, agent = await world.placed()
        agent.free = 0
        phones.append(phone)
        agents[agent.call] = agent
    assert len(agents) == count
    words = {phone.call: secrets.token_bytes(160 * 10) for phone in phones}
    for phone in phones:
        agent = agents[phone.call]
        await agent.out("item", item_id="i")
        await agent.speak(words[phone.call])
        await agent.out("done", item_id="i")
    for phone in phones:
        agent = agents[phone.call]
        await phone.talk_until(lambda a=agent: any(h["done"] for h in a.of("heard")), "heard")
        assert phone.ear.audio() == words[phone.call]


async def test_a_silent_socket_is_given_up(world, monkeypatch) -> None:
    monkeypatch.setattr(leg, "SILENT_AFTER_S", 1)
    phone, _ = await world.placed()
    assert (await phone.closed())[0] == 1000
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    assert stopped.reason == "lost"


async def test_a_socket_that_takes_nothing_is_given_up(world, monkeypatch) -> None:
    monkeypatch.setattr(outgoing, "BOUND_BYTES", 20_000)
    phone, agent = await world.placed()
    await agent.out("item", item_id="item_1")
    phone.socket.transport.pause_reading()
    for _ in range(100):
        await agent.speak(b"\x55" * 100_000)  # more than the buffers of both systems hold
    (stopped,) = await world.logged(phone.call, e.StreamStopped)
    phone.socket.transport.resume_reading()
    assert stopped.reason == "lost"
    (heard,) = await world.logged(phone.call, e.Heard)
    assert heard.cut
