"""An operator speaks in the assistant's place and gives the call back: what the caller hears, what
the model is told, what the log says, and what becomes of it when something dies meanwhile.
"""

import asyncio
import contextlib

import pytest
from agent_world import PIN, PROFILE, Tools, assigned, worker
from line_end import SILENCE, line_end
from operator_desk import HUSH, VOICE, done, of_model, of_operator, refused, speaking
from ringed_line import ringed_line
from ringed_line import told as items_told

from ai_agent import asides
from ai_agent.session import TRIES
from protocol import line
from protocol.call import fold
from protocol.commands import ChangeMode, GiveBack, Say, TakeOver, Transfer, Whisper
from runtime import micro
from runtime.bus import connect
from runtime.calllog import CallLog
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import (
    OnResponse,
    OnSpeech,
    Pause,
    RealtimeServer,
    Script,
    Scripts,
    expect_truncate,
)
from testbed.realtime import Say as Says
from testbed.realtime.script import IGNORED

GREETING = OnResponse(Says("Hello Ada.", audio_ms=400), where=lambda r: r.instructions == "Greet.")
MENU = '\nmode = "keypad"\n[[menu]]\nkey = "1"\nlabel = "today"\ntool = "get_tasks"\n'
QUICK_SILENCE = "\n[silence]\nreminder_s = 1\nhang_up_s = 2\n"


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        service = Tools()
        serving = micro.serving(found, name="tools", description="d", endpoints=service.endpoints())
        async with serving:
            yield found


@contextlib.asynccontextmanager
async def talking(bus, nats_server, tmp_path, *steps, profile=PROFILE, **options):
    """A call whose assistant has greeted: its line, the script, the model."""
    script = Script(GREETING, *steps, ignored=IGNORED | {"response.cancel"})
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus, **options) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        await end.event("usage_reported")
        yield end, script, model


def told_last(model) -> tuple[str, str]:
    return items_told(model.connections[-1])[-1]


def answers(connection) -> list[bool]:
    """What every session.update said about answering turns."""
    return [
        event["session"]["audio"]["input"]["turn_detection"]["create_response"]
        for event in connection.received
        if event["type"] == "session.update"
    ]


async def test_the_caller_hears_the_operator_and_the_model_writes_down_what_they_say(
    bus, nats_server, tmp_path
):
    back = OnResponse(Says("How can I go on?", audio_ms=300))
    async with talking(bus, nats_server, tmp_path, OnSpeech("is that you"), back) as (
        end,
        script,
        model,
    ):
        await done(bus, end, TakeOver("mira"))
        taken = await end.event("taken_over", operator="mira")
        before = of_model(end)
        async with speaking(end):
            await end.until(lambda: len(of_operator(end)) >= 20 * len(VOICE), "400 ms of voice")
            await end.turn()
            await end.event("turn_transcribed", text="is that you")
            await end.until(lambda: len(of_operator(end)) >= 60 * len(VOICE), "the voice goes on")
            assert of_model(end) == before, "nobody else speaks"
            await done(bus, end, GiveBack("mira"))
        sound = of_operator(end)
        assert sound == VOICE * (len(sound) // len(VOICE)), "byte for byte, in order"
        given = await end.event("given_back", operator="mira", reason="given_back")
        said = await end.event("said", text="How can I go on?", done=True)
        assert taken["sequence"] < given["sequence"] < said["sequence"]
        assert told_last(model) == ("system", asides.SPOKEN)
        assert answers(model.connections[0]) == [True, False, True]
        voices = [item for item in end.audio if item.startswith("operator:")]
        await end.until(lambda: end.kinds.count("done") >= len(voices) + 2, "every item ends")
        await script.finished()


async def test_what_the_assistant_is_saying_is_cut_where_the_caller_heard_it(
    bus, nats_server, tmp_path
):
    steps = (
        OnSpeech("tell me all", Says("It is a long story " * 10, audio_ms=9_000), Pause(60_000)),
        expect_truncate(1_200, 1_200),
        OnResponse(Says("So it goes.", audio_ms=300)),
    )
    async with talking(bus, nats_server, tmp_path, *steps, hears=False) as (end, script, _):
        first = next(iter(end.audio))
        await end.heard(first, 400, done=True)
        await end.turn()
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        answer = list(end.audio)[1]
        await end.until(lambda: len(end.audio[answer]) >= 16_000, "two seconds of it")
        await done(bus, end, TakeOver("mira"))
        assert end.kinds.count("clear") == 1
        await end.cleared(end.clears[-1], line.Playhead(answer, 1_200, done=False))
        await end.event("barged_in", item_id=answer, heard_ms=1_200)
        await end.event("response_ended", status="cancelled")
        async with speaking(end):
            await end.until(lambda: of_operator(end), "the operator is heard")
            size = len(end.audio[answer])
            await end.until(lambda: len(of_operator(end)) > 30 * len(VOICE), "for a while")
            assert len(end.audio[answer]) == size
            await done(bus, end, GiveBack("mira"))
        await end.event("said", text="So it goes.", done=True)
        await script.finished()


async def test_a_turn_that_is_spoken_to_the_operator_is_answered_by_nobody(
    bus, nats_server, tmp_path
):
    """Neither at once nor by any of the timers that look after a silent line."""
    steps = (OnSpeech("well"), OnResponse(Says("Here I am.", audio_ms=300)))
    profile = PROFILE + QUICK_SILENCE
    async with talking(bus, nats_server, tmp_path, *steps, profile=profile) as (end, script, model):
        await done(bus, end, TakeOver("mira"))
        async with speaking(end, HUSH):
            await end.turn()
            await end.event("turn_transcribed", text="well")
            async with asyncio.timeout(30):  # longer than reminder, hang-up and a late answer
                while len(of_operator(end)) < 5 * 50 * len(HUSH):
                    await asyncio.sleep(0.05)
            assert end.ends == []
            asked = [e for e in model.connections[0].received if e["type"] == "response.create"]
            assert len(asked) == 1, "the greeting"
            await done(bus, end, GiveBack("mira"))
        await end.event("said", text="Here I am.", done=True)
        await script.finished()


async def test_without_a_voice_the_call_goes_back_to_the_assistant(bus, nats_server, tmp_path):
    back = OnResponse(Says("I am with you again.", audio_ms=300))
    async with talking(bus, nats_server, tmp_path, back) as (end, script, model):
        await done(bus, end, TakeOver("mira"))
        async with speaking(end):
            await end.until(lambda: of_operator(end), "a word")
        given = await end.event("given_back", timeout=15)
        assert (given["operator"], given["reason"]) == ("mira", "silent")
        await end.event("said", text="I am with you again.", done=True)
        assert told_last(model) == ("system", asides.SPOKEN)
        await refused(bus, end, GiveBack("mira"), "not_now")
        heard = len(of_operator(end))
        async with speaking(end):
            await done(bus, end, Whisper("ops", "a while"))
        assert len(of_operator(end)) == heard, "nobody is let through any more"
        await script.finished()


async def test_who_speaks_and_what_is_refused_meanwhile(bus, nats_server, tmp_path):
    back = OnResponse(Says("Yes.", audio_ms=300))
    async with talking(bus, nats_server, tmp_path, back) as (end, script, _):
        await refused(bus, end, GiveBack("mira"), "not_now")
        await done(bus, end, TakeOver("mira"))
        async with speaking(end):
            assert "mira" in await refused(bus, end, TakeOver("tom"), "taken")
            assert "mira" in await refused(bus, end, GiveBack("tom"), "taken")
            await done(bus, end, TakeOver("mira"))
            await refused(bus, end, Say("tom", "Hello."), "not_now")
            await refused(bus, end, ChangeMode("tom", "keypad"), "not_now")
            await done(bus, end, GiveBack("mira"))
        events = [e["event"] for e in await end.events()]
        assert events.count("taken_over") == events.count("given_back") == 1
        await end.event("said", text="Yes.", done=True)
        await script.finished()


async def test_keys_pressed_for_the_operator_are_told_to_the_log_alone(bus, nats_server, tmp_path):
    back = OnResponse(Says("Yes.", audio_ms=300))
    async with talking(bus, nats_server, tmp_path, back) as (end, script, model):
        await done(bus, end, TakeOver("mira"))
        async with speaking(end, HUSH):
            for digit in "4711#":
                await end.key(digit)
            await end.event("key_pressed", digit="#")
            await end.key("9")
            await end.event("key_pressed", digit="9")
            await done(bus, end, GiveBack("mira"))
        await end.event("said", text="Yes.", done=True)
        assert not [text for who, text in items_told(model.connections[0]) if who == "user"]
        await script.finished()


async def test_an_operator_speaks_at_the_keypad_too(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + MENU) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        await done(bus, end, TakeOver("mira"))
        before = of_model(end)
        async with speaking(end):
            await end.until(lambda: of_operator(end), "the operator is heard")
            await end.key("1")
            await end.event("key_pressed", digit="1")
            await end.until(lambda: len(of_operator(end)) > 50 * len(VOICE), "for a while")
            assert of_model(end) == before
            await done(bus, end, GiveBack("mira"))
        await end.until(lambda: len(of_model(end)) > len(before), "the choices again")
        assert "tool_called" not in {e["event"] for e in await end.events()}
        assert model.connections == []


async def test_nobody_speaks_to_a_caller_at_the_gate(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + "[pin]\nrequired = true\n") as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("pin_requested")
        await refused(bus, end, TakeOver("mira"), "not_now")
        await refused(bus, end, Say("mira", "Hello."), "not_now")
        await refused(bus, end, Whisper("mira", "Hello."), "not_now")
        await refused(bus, end, ChangeMode("mira", "conversation"), "not_now")
        for digit in f"{PIN}#":
            await end.key(digit)
        await end.event("said", text="Hello Ada.", done=True)
        await done(bus, end, TakeOver("mira"))


async def test_a_session_that_is_lost_meanwhile_stays_silent(bus, nats_server, tmp_path):
    first = Script(GREETING, OnSpeech("hm"))
    second = Script(OnSpeech("so"), OnResponse(Says("Where were we?", audio_ms=300)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path, model) as name,
        ringed_line(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        await done(bus, end, TakeOver("mira"))
        async with speaking(end):
            await end.turn()
            await end.event("turn_transcribed", text="hm")
            model.connections[0].drop(None)
            await end.event("session_opened", generation=2)
            await end.turn()
            await end.event("turn_transcribed", text="so")
            assert len(of_model(end)) == 1
            assert answers(model.connections[1])[-1] is False
            await done(bus, end, GiveBack("mira"))
        await end.event("said", text="Where were we?", done=True)
        assert items_told(model.connections[1])[:2] == [
            ("assistant", "Hello Ada."),
            ("user", "hm"),
        ]
        await second.finished()


async def test_a_model_that_is_gone_does_not_end_what_the_operator_says(bus, nats_server, tmp_path):
    """The profile has no menu to fall to: the call ends once the operator has given it back."""
    async with talking(bus, nats_server, tmp_path) as (end, _, model):
        await done(bus, end, TakeOver("mira"))
        async with speaking(end):
            model.connections[0].drop(None)
            tries = 1 + TRIES
            await end.until(lambda: len(model.connections) == tries, "the last try", timeout=20)
            heard = len(of_operator(end))
            await end.until(lambda: len(of_operator(end)) > heard + 50 * len(VOICE), "it goes on")
            assert end.ends == []
            await refused(bus, end, Whisper("mira", "Go on."), "no_session")
            await done(bus, end, GiveBack("mira"))
        await end.until(lambda: end.ends == ["failed"], "an apology", timeout=20)


async def test_the_next_worker_lets_the_operator_go_on(bus, nats_server, tmp_path):
    first, second = Script(GREETING, OnSpeech("hm")), Script(OnResponse(Says("Yes?", audio_ms=300)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path / "two", model, agent_worker="two") as other,
        ringed_line(bus) as end,
    ):
        async with contextlib.AsyncExitStack() as life:
            one = await life.enter_async_context(
                worker(nats_server, tmp_path / "one", model, agent_worker="one", agent_drain_s=0)
            )
            epoch = (await assigned(end, one)).epoch
            await end.speak(20, SILENCE)
            await end.event("said", done=True)
            await done(bus, end, TakeOver("mira"))
            async with speaking(end):
                await end.turn()
                await end.event("turn_transcribed", text="hm")
        async with speaking(end):
            reply = await end.taken_over(other, epoch)
            await end.event("session_opened", epoch=reply.epoch)
            heard = len(of_operator(end))
            await end.until(lambda: len(of_operator(end)) > heard + 20 * len(VOICE), "it goes on")
            await refused(bus, end, TakeOver("tom"), "taken")
            assert len(of_model(end)) == 1
            entries = await CallLog(bus).read(end.call)
            state = fold(end.call, ((entry.sequence, entry.event) for entry in entries))
            assert state.operator == "mira"
            await done(bus, end, GiveBack("mira"))
        await end.event("said", text="Yes?", done=True, epoch=reply.epoch)
        told = items_told(model.connections[1])
        assert told == [("assistant", "Hello Ada."), ("user", "hm"), ("system", asides.SPOKEN)]
        await second.finished()


async def test_an_operator_who_is_gone_with_the_worker_is_not_waited_for(
    bus, nats_server, tmp_path
):
    first, second = Script(GREETING), Script(OnResponse(Says("Yes?", audio_ms=300)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path / "one", model, agent_worker="one") as one,
        worker(nats_server, tmp_path / "two", model, agent_worker="two") as other,
        ringed_line(bus) as end,
    ):
        epoch = (await assigned(end, one)).epoch
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await done(bus, end, TakeOver("mira"))
        reply = await end.taken_over(other, epoch)
        await end.event("given_back", reason="silent", epoch=reply.epoch, timeout=15)
        await end.event("said", text="Yes?", done=True, epoch=reply.epoch)
        await second.finished()


async def test_a_drained_worker_hands_the_call_over_while_the_operator_pauses(
    bus, nats_server, tmp_path
):
    first, second = Script(GREETING), Script(OnResponse(Says("Yes?", audio_ms=300)))
    async with (
        RealtimeServer(Scripts(first, second)) as model,
        worker(nats_server, tmp_path / "two", model, agent_worker="two"),
        ringed_line(bus) as end,
        speaking(end, HUSH),
    ):
        async with worker(nats_server, tmp_path / "one", model, agent_worker="one") as one:
            await assigned(end, one)
            await end.speak(20, SILENCE)
            await end.event("said", done=True)
            await done(bus, end, TakeOver("mira"))
            await end.until(lambda: of_operator(end), "the operator is heard")
        taken = await end.event("assigned", reason="handover")
        await end.until(lambda: len(end.epochs) == 2, "heard under the next epoch")
        await done(bus, end, GiveBack("mira"))
        await end.event("given_back", epoch=taken["sequence"], reason="given_back")
        await end.event("said", text="Yes?", done=True, epoch=taken["sequence"])
        await second.finished()


async def test_an_operator_puts_the_caller_through(bus, nats_server, tmp_path):
    profile = PROFILE + '\n[transfer]\nnumber = "+15550109999"\n'
    async with talking(bus, nats_server, tmp_path, profile=profile) as (end, script, _):
        await done(bus, end, TakeOver("mira"))
        async with speaking(end):
            await end.until(lambda: of_operator(end), "the operator is heard")
            await done(bus, end, Transfer("mira"))
            await end.until(lambda: end.ends == ["transfer"], "the line closes")
        await script.finished()
