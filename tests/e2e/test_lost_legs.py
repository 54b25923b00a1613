"""A call gets a new leg in the middle of a talk, and words are heard again: after kill -9 of its
ingress, and on request.

What Twilio does after an abrupt loss is not documented; the two variants in which it keeps the
call are simulated here: it asks the action of <Connect>, or it stays silent.
"""

import asyncio
import contextlib

import pytest

from protocol import codec
from protocol.calls import CallDone, CallReply, RedirectCall
from protocol.ids import CallId
from testbed.ports import free_port
from testbed.realtime import OnResponse, OnSpeech, Say, tone
from testbed.twilio import serve_rest

GREETING = Say("Hello, what would you like to do?", audio_ms=1_200)
ANSWER = Say("Here I am again.", audio_ms=1_000)
STILL_THERE = "are you still there"
INGRESS = "stream-ingress"


def sound(say: Say) -> bytes:
    assert say.audio_ms is not None
    return tone(say.text, say.audio_ms)


@contextlib.asynccontextmanager
async def mortal(new_system):
    """A system whose webhooks reach the simulated Twilio by REST."""
    port = free_port()
    rest = {"TWILIO_API_URL": f"http://127.0.0.1:{port}"}
    async with new_system(webhooks=rest) as world, serve_rest(world.twilio, port=port):
        yield world


@pytest.mark.parametrize("after_loss", ["silent", "action"])
async def test_a_call_survives_its_ingress(new_system, after_loss: str) -> None:
    async with mortal(new_system) as world:
        world.begin()
        world.twilio.faults.after_loss = after_loss
        script = world.script(OnResponse(GREETING), OnSpeech(STILL_THERE, ANSWER))
        call = await world.dial()
        await world.heard(call, sound(GREETING))
        await world.logged(call, "heard")
        (first,) = world.events(call, "stream_started")
        ingress = world.stack.processes[INGRESS]
        ingress.kill()
        await ingress.wait()
        await world.stack.restart(INGRESS)

        started = world.follower.wait
        assert await started(
            call.sid,
            lambda events: sum(e["event"] == "stream_started" for e in events) == 2,
            world.patience_s,
        ), [e["event"] for e in world.events(call)]
        await call.wait_until(lambda c: c.stream and c.stream.started, world.patience_s)
        await asyncio.sleep(1)  # as a person would, who heard nothing for a while
        assert await call.say(tone(STILL_THERE, 900))
        answer = sound(ANSWER)
        await call.wait_until(lambda c: c.ear.audio().endswith(answer), world.patience_s)
        await script.finished()

        events = await world.hung_up(call)
        names = [event["event"] for event in events]
        second = world.events(call, "stream_started")[1]
        assert second["line_ms"] > first.get("line_ms", 0)
        assert second["ingress"] != first["ingress"]
        assert names.count("assigned") == 1, "the same worker, the same epoch"
        assert names.count("session_opened") == 1
        assert names.count("call_ended") == 1
        assert events[names.index("call_ended")]["reason"] == "caller_hung_up"
        reasons = [event["reason"] for event in world.events(call, "resuming")]
        if after_loss == "silent":
            assert reasons[0] == "watchdog"
            assert "redirecting" in names
        else:
            assert set(reasons) == {"leg lost"}
            assert "redirecting" not in names
        assert call.ear.spoken == [], "no apology"
        await world.settle()


async def test_a_live_call_is_redirected_on_request(new_system) -> None:
    async with mortal(new_system) as world:
        world.begin()
        script = world.script(OnResponse(GREETING), OnSpeech(STILL_THERE, ANSWER))
        call = await world.dial()
        await world.heard(call, sound(GREETING))
        await world.logged(call, "heard")
        ask = codec.encode(RedirectCall(CallId(call.sid), "a test"))
        reply = await world.client.request("calls.redirect", ask, timeout=world.patience_s)
        assert codec.decode_as(CallReply, reply.data) == CallDone(CallId(call.sid))
        await call.wait_until(lambda c: len(c.streams) == 2 and c.streams[1].started, 30)
        assert await call.say(tone(STILL_THERE, 900))
        await world.heard(call, sound(GREETING), sound(ANSWER))
        await script.finished()
        events = await world.hung_up(call)
        names = [event["event"] for event in events]
        assert names.count("assigned") == 1, "the same worker, the same epoch"
        _, second = world.events(call, "stream_started")
        assert second["previous_leg"] > 0
        stopped = world.events(call, "stream_stopped")[0]
        assert second["line_ms"] >= stopped["line_ms"], "time never runs backwards on the line"
        assert names.count("call_ended") == 1
        assert [e["reason"] for e in world.events(call, "call_ended")] == ["caller_hung_up"]
        await world.settle()
