"""Commands to a running call: who answers, who stays silent, what is refused."""

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from agent_world import PROFILE, Tools, assigned, worker
from line_end import SILENCE, line_end
from operator_desk import done, refused, told
from ringed_line import ringed_line
from ringed_line import told as items_told

from ai_agent import asides, steering, talk_orders
from protocol import codec, subjects
from protocol.callers import DaySpend, Spend
from protocol.calls import CallDone, CallRefused, TransferCall
from protocol.commands import (
    TEXT_MAX,
    ChangeMode,
    Done,
    HangUp,
    Refused,
    Transfer,
    UpdateSession,
    Whisper,
)
from protocol.commands import Say as SayThis
from protocol.events import Assigned
from protocol.ids import Epoch, EventId, WorkerId
from protocol.placement import AgentLoad, PrepareCall, Prepared
from runtime import micro
from runtime.bus import connect
from runtime.errors import NatsAway, NoAnswer
from runtime.outbox import take
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, OnSpeech, Pause, RealtimeServer, Say, Script, Scripts
from testbed.realtime.script import IGNORED

UPDATE = UpdateSession("ops", instructions="Be kind.")
GREETING = OnResponse(Say("Hello Ada.", audio_ms=400))
MENU = '\n[[menu]]\nkey = "1"\nlabel = "today"\ntool = "get_tasks"\n'
KEYPAD = '\nmode = "keypad"' + MENU
PIN_FIRST = "[pin]\nrequired = true\n"
HUMAN = '\n[transfer]\nnumber = "+15550109999"\n'


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        service = Tools()
        serving = micro.serving(found, name="tools", description="d", endpoints=service.endpoints())
        async with serving:
            yield found


async def silent(bus, end) -> None:
    """Nobody listens any more, at once or soon."""
    async with asyncio.timeout(10):
        while True:
            try:
                await told(bus, end, UPDATE, timeout=0.5)
            except NoAnswer as error:
                if error.nobody:
                    return
            await asyncio.sleep(0.02)


async def test_an_update_is_in_force_and_written_when_it_is_answered(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        assert await told(bus, end, UPDATE) == Done()
        (updated,) = [e for e in await end.events() if e["event"] == "session_updated"]
        session = model.connections[0].session
        assert session is not None
        assert session.config["instructions"] == updated["instructions"]
        assert updated["instructions"].startswith("Be kind.\n\nToday is ")
        assert "The caller's name is Ada." in updated["instructions"]
        await end.hang_up()
        await silent(bus, end)


async def test_what_the_model_refuses_is_not_written(bus, nats_server, tmp_path):
    """A tool whose name is longer than the model allows."""
    name_of_tool = "t" * 65

    async def never(_: micro.Request) -> bytes:
        raise AssertionError("never asked")

    meta = {"description": "d", "schema": '{"type":"object"}'}
    endpoint = micro.Endpoint(name_of_tool, f"tools.{name_of_tool}", never, meta)
    async with (
        micro.serving(bus, name="odd-tools", description="d", endpoints=[endpoint]),
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        reply = await told(bus, end, UpdateSession("ops", tools=(name_of_tool,)))
        assert isinstance(reply, Refused)
        assert reply.code == "not_applied"
        assert "session_updated" not in {e["event"] for e in await end.events()}
        assert await told(bus, end, UPDATE) == Done(), "and the session goes on"


async def test_where_no_session_is_open_it_is_said_so(bus, nats_server, tmp_path):
    menu = '\nmode = "keypad"\n[[menu]]\nkey = "1"\nlabel = "today"\ntool = "get_tasks"\n'
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + menu) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("mode_changed", mode="keypad")
        reply = await told(bus, end, UPDATE)
        assert isinstance(reply, Refused)
        assert (reply.code, model.connections) == ("no_session", [])


@pytest.mark.parametrize("payload", [b"", b"{}", b'{"type":"fly","by":"ops"}', b'{"by":7}'])
async def test_what_is_no_command_is_refused(bus, nats_server, tmp_path, payload):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        data = await bus.request_raw(subjects.command(end.call), payload, timeout=10)
        assert b'"unreadable"' in data


async def test_a_worker_whose_call_was_taken_says_nothing(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus) as end,
    ):
        reply = await assigned(end, name)
        await end.event("said", done=True)
        await end.speak(20, SILENCE)
        taken = Assigned(
            **end.stamp("ai-agent"), leg=end.leg, previous_epoch=reply.epoch, reason="takeover"
        )
        assert await take(bus, taken, expected=Epoch(reply.epoch))
        with pytest.raises(NoAnswer):
            await told(bus, end, UPDATE, timeout=1)
        await silent(bus, end)
        assert "session_updated" not in {e["event"] for e in await end.events()}


@contextlib.asynccontextmanager
async def talking(bus, nats_server, tmp_path, *scripts, profile=PROFILE, **options):
    """A call that was greeted: its line and the model."""
    async with (
        RealtimeServer(Scripts(*scripts)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        ringed_line(bus, **options) as end,
    ):
        await assigned(end, name)
        await end.event("said", done=True)
        yield end, model


@contextlib.asynccontextmanager
async def at_the_keypad(bus, nats_server, tmp_path, *, profile=PROFILE + KEYPAD, scripts=()):
    """A call that hears its choices."""
    async with (
        RealtimeServer(Scripts(*scripts)) as model,
        worker(nats_server, tmp_path, model, profile=profile) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("mode_changed", mode="keypad")
        await end.event("said", done=True)
        yield end, model


# -- whisper


async def test_a_whisper_is_written_and_told_and_interrupts_nothing(bus, nats_server, tmp_path):
    answer = Say("Certainly, " * 20, audio_ms=4_000)
    script = Script(GREETING, OnSpeech("hello", answer), OnSpeech("and?", Say("Friday.")))
    async with talking(bus, nats_server, tmp_path, script) as (end, model):
        await end.turn()
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        await done(bus, end, Whisper("mira", "Offer  her\nFriday."))
        written = await end.event("whispered", by="mira")
        assert written["text"] == "Offer  her\nFriday."
        note = ("system", asides.whispered("Offer her Friday."))
        await end.until(lambda: note in items_told(model.connections[0]), "it is told")
        await end.event("said", text=answer.text, done=True)
        asked = [e for e in model.connections[0].received if e["type"] == "response.create"]
        assert len(asked) == 1, "the greeting; nothing is asked for on account of it"
        assert end.clears == []
        await end.turn()
        await end.event("said", text="Friday.", done=True)
        await script.finished()


async def test_a_whisper_survives_the_session_and_the_worker(bus, nats_server, tmp_path):
    first, second = Script(GREETING), Script()
    third = Script(OnSpeech("hello", Say("Friday it is.", audio_ms=300)))
    note = ("system", asides.whispered("Offer her Friday."))
    async with (
        RealtimeServer(Scripts(first, second, third)) as model,
        worker(nats_server, tmp_path / "one", model, agent_worker="one") as one,
        worker(nats_server, tmp_path / "two", model, agent_worker="two") as other,
        ringed_line(bus) as end,
    ):
        epoch = (await assigned(end, one)).epoch
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await end.event("usage_reported")
        await done(bus, end, Whisper("mira", "Offer her Friday."))
        model.connections[0].drop(None)
        await end.event("session_opened", generation=2)
        await end.until(lambda: note in items_told(model.connections[1]), "told the second one")
        reply = await end.taken_over(other, epoch)
        await end.event("session_opened", epoch=reply.epoch)
        await end.turn()
        await end.event("said", text="Friday it is.", done=True)
        for connection in model.connections:
            assert items_told(connection).count(note) == 1
        assert [e["event"] for e in await end.events()].count("whispered") == 1


async def test_a_whisper_without_a_model_or_words_is_refused(bus, nats_server, tmp_path):
    async with at_the_keypad(bus, nats_server, tmp_path) as (end, _):
        await refused(bus, end, Whisper("mira", "Offer her Friday."), "not_now")
        await refused(bus, end, Whisper("mira", " "), "nothing_asked")
        await refused(bus, end, Whisper("mira", "x" * (TEXT_MAX + 1)), "too_long")
        await refused(bus, end, Whisper("", "x"), "nothing_asked")
        assert "whispered" not in {e["event"] for e in await end.events()}


# -- say


async def test_a_sentence_is_said_in_the_assistants_voice_after_what_it_says(
    bus, nats_server, tmp_path
):
    words = 'We open at "nine".'
    exactly = OnResponse(Say(words, audio_ms=300), where=lambda r: words in r.instructions)
    answer = Say("Certainly, " * 20, audio_ms=4_000)
    script = Script(GREETING, OnSpeech("hello", answer), exactly, OnSpeech("ok", Say("Bye.")))
    async with talking(bus, nats_server, tmp_path, script) as (end, model):
        await end.turn()
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        await done(bus, end, SayThis("mira", words))
        first = await end.event("said", text=answer.text, done=True)
        said = await end.event("said", text=words, done=True)
        assert first["sequence"] < said["sequence"]
        assert end.clears == []
        (asked,) = [
            e["response"]
            for e in model.connections[0].received
            if e["type"] == "response.create" and "metadata" in e["response"]
        ]
        assert asked["tool_choice"] == "none"
        await end.turn()
        await end.event("said", text="Bye.", done=True)
        await script.finished()


async def test_a_sentence_waits_for_a_caller_who_speaks(bus, nats_server, tmp_path):
    script = Script(
        GREETING,
        OnSpeech("may I ask", Say("Yes.", audio_ms=300)),
        OnResponse(Say("We close now.", audio_ms=300)),
    )
    async with talking(bus, nats_server, tmp_path, script) as (end, model):
        await end.speak(600)
        await end.until(
            lambda: any(e["type"].endswith("speech_started") for e in model.connections[0].sent),
            "the model hears the caller",
        )
        await done(bus, end, SayThis("mira", "We close now."))
        await end.speak(800, SILENCE)
        answered = await end.event("said", text="Yes.", done=True)
        said = await end.event("said", text="We close now.", done=True)
        assert answered["sequence"] < said["sequence"]
        await script.finished()


async def test_a_sentence_that_had_not_sounded_is_said_in_the_next_session(
    bus, nats_server, tmp_path
):
    first = Script(GREETING, OnResponse(Pause(60_000)))
    second = Script(OnResponse(Say("We close now.", audio_ms=300)))
    async with talking(bus, nats_server, tmp_path, first, second) as (end, model):
        await end.event("usage_reported")
        await done(bus, end, SayThis("mira", "We close now."))
        await end.until(lambda: first._steps == [], "it is asked for")
        model.connections[0].drop(None)
        await end.event("said", text="We close now.", done=True)
        await second.finished()


async def test_other_words_than_those_asked_for_are_noticed(
    bus, nats_server, tmp_path, monkeypatch
):
    noticed: list[str] = []
    log = SimpleNamespace(warning=lambda text, **_: noticed.append(text))
    monkeypatch.setattr(talk_orders, "_log", log)
    script = Script(
        GREETING,
        OnResponse(Say("We close, now!", audio_ms=300)),
        OnResponse(Say("We are open all night.", audio_ms=300)),
    )
    async with talking(bus, nats_server, tmp_path, script) as (end, _):
        await done(bus, end, SayThis("mira", "We close now."))
        await end.event("said", text="We close, now!", done=True)
        assert noticed == []
        await done(bus, end, SayThis("mira", "We close now."))
        await end.event("said", text="We are open all night.", done=True)
        await end.until(lambda: noticed, "a line in the log")
        assert noticed == ["sentence said in other words"]


async def test_a_sentence_at_the_keypad_is_spoken_without_the_model(bus, nats_server, tmp_path):
    async with at_the_keypad(bus, nats_server, tmp_path) as (end, model):
        await done(bus, end, SayThis("mira", "Please hold the line."))
        said = await end.event("said", text="Please hold the line.", done=True)
        assert len(end.audio[said["item_id"]]) > 4_000
        assert model.connections == []


# -- hang up


async def test_what_is_being_said_is_heard_before_the_end(bus, nats_server, tmp_path):
    answer = Say("Certainly, " * 20, audio_ms=4_000)
    script = Script(GREETING, OnSpeech("hello", answer))
    async with talking(bus, nats_server, tmp_path, script) as (end, _):
        await end.turn()
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        await done(bus, end, HangUp("mira"))
        await end.until(lambda: end.ends == ["hangup"], "the end")
        assert len(list(end.audio.values())[1]) == 4_000 * 8, "all of it was sent before"
        assert end.clears == []
        await refused(bus, end, SayThis("mira", "One more thing."), "not_now")


async def test_a_call_is_ended_at_once(bus, nats_server, tmp_path):
    answer = Say("Certainly, " * 20, audio_ms=20_000)
    script = Script(GREETING, OnSpeech("hello", answer))
    async with talking(bus, nats_server, tmp_path, script) as (end, _):
        await end.turn()
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        await done(bus, end, HangUp("mira", now=True))
        assert end.ends == ["hangup"]
        assert len(end.clears) == 1
        assert end.kinds.index("clear") < end.kinds.index("end")


async def test_a_call_is_ended_at_the_keypad(bus, nats_server, tmp_path):
    async with at_the_keypad(bus, nats_server, tmp_path) as (end, _):
        await done(bus, end, HangUp("mira"))
        await end.until(lambda: end.ends == ["hangup"], "the end")


@pytest.mark.parametrize("now", [False, True])
async def test_a_call_is_ended_at_the_gate(bus, nats_server, tmp_path, now):
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + PIN_FIRST) as name,
        line_end(bus) as end,
    ):
        await assigned(end, name)
        await end.event("pin_requested")
        await done(bus, end, HangUp("mira", now=now))
        await end.until(lambda: end.ends == ["hangup"], "the end")
        await refused(bus, end, HangUp("mira"), "not_now")


# -- transfer


async def test_the_caller_is_put_through_to_the_human(bus, nats_server, tmp_path):
    script = Script(GREETING, OnResponse(Say("I put you through.", audio_ms=300)))
    async with talking(bus, nats_server, tmp_path, script, profile=PROFILE + HUMAN) as (end, _):
        await done(bus, end, Transfer("mira"))
        await end.until(lambda: end.ends == ["transfer"], "the line closes")
        await end.event("said", text="I put you through.", done=True)
        await script.finished()


async def test_the_caller_is_put_through_from_the_keypad(bus, nats_server, tmp_path):
    profile = PROFILE + KEYPAD + HUMAN
    async with at_the_keypad(bus, nats_server, tmp_path, profile=profile) as (end, _):
        await done(bus, end, Transfer("mira"))
        await end.until(lambda: end.ends == ["transfer"], "the line closes")
        await refused(bus, end, Transfer("mira"), "not_now")


async def test_where_nobody_is_a_transfer_is_refused(bus, nats_server, tmp_path):
    async with talking(bus, nats_server, tmp_path, Script(GREETING)) as (end, _):
        await refused(bus, end, Transfer("mira"), "not_allowed")
        assert end.ends == []


async def test_another_number_is_for_webhooks_to_allow(bus, nats_server, tmp_path):
    asked: list[TransferCall] = []

    async def transfer(ask: TransferCall, _: micro.Request) -> object:
        asked.append(ask)
        if ask.to.startswith("+44"):
            return CallDone(ask.call)
        return CallRefused("not_allowed", "Numbers with this prefix may not be called.")

    endpoint = micro.Endpoint(
        "transfer", subjects.calls("transfer"), micro.json_handler(TransferCall, transfer)
    )
    async with talking(bus, nats_server, tmp_path, Script(GREETING)) as (end, _):
        await refused(bus, end, Transfer("mira", "+491555"), "not_applied")
        async with micro.serving(bus, name="calls", description="d", endpoints=[endpoint]):
            why = await refused(bus, end, Transfer("mira", "+491555"), "not_allowed")
            assert "prefix" in why
            await done(bus, end, Transfer("mira", "+441555"))
        assert asked == [TransferCall(end.call, "+491555"), TransferCall(end.call, "+441555")]
        assert end.ends == []


# -- the mode


async def test_to_the_keypad_and_back(bus, nats_server, tmp_path):
    long = Say("Certainly, " * 20, audio_ms=20_000)
    first = Script(GREETING, OnSpeech("hello", long), ignored=IGNORED | {"response.cancel"})
    second = Script(OnResponse(Say("I am back.", audio_ms=300)))
    async with talking(bus, nats_server, tmp_path, first, second, profile=PROFILE + MENU) as (
        end,
        model,
    ):
        await end.turn()
        await end.until(lambda: len(end.audio) == 2, "the answer is begun")
        await done(bus, end, ChangeMode("mira", "conversation"))
        await done(bus, end, ChangeMode("mira", "keypad"))
        await end.event("mode_changed", mode="keypad", reason="an operator asked for it")
        await end.event("said", response_id="", done=True)
        assert len(end.clears) == 1, "nobody hears the rest of the answer"
        await done(bus, end, ChangeMode("mira", "keypad"))
        await done(bus, end, ChangeMode("mira", "conversation"))
        await end.event("said", text="I am back.", done=True)
        await second.finished()
        assert len(model.connections) == 2
        modes = [e["mode"] for e in await end.events() if e["event"] == "mode_changed"]
        assert modes == ["conversation", "keypad", "conversation"]


async def test_modes_that_a_call_has_not_are_refused(bus, nats_server, tmp_path):
    async with talking(bus, nats_server, tmp_path / "a", Script(GREETING)) as (end, _):
        await refused(bus, end, ChangeMode("mira", "keypad"), "not_allowed")
        await refused(bus, end, ChangeMode("mira", "gate"), "not_allowed")
    async with at_the_keypad(bus, nats_server, tmp_path / "b") as (end, model):
        await refused(bus, end, ChangeMode("mira", "conversation"), "not_allowed")
        assert model.connections == []


async def test_where_the_money_is_spent_nobody_goes_back_to_the_model(bus, nats_server, tmp_path):
    spent = MENU + "\n[limits]\nday_usd = 0.01\n"
    async with (
        RealtimeServer(Scripts()) as model,
        worker(nats_server, tmp_path, model, profile=PROFILE + spent) as name,
        line_end(bus) as end,
    ):
        service_spent = await bus.request(
            subjects.callers("spend"), Spend(EventId("e" * 32), 5.0), DaySpend, timeout=5
        )
        assert service_spent.usd >= 5
        await assigned(end, name)
        await end.event("mode_changed", mode="keypad")
        await refused(bus, end, ChangeMode("mira", "conversation"), "not_allowed")


# -- a log that does not answer


async def test_without_the_log_a_call_can_only_be_ended(bus, nats_server, tmp_path, monkeypatch):
    class Away:
        def __init__(self, _) -> None:
            pass

        async def last(self, *_) -> None:
            raise NatsAway("the log does not answer")

    async with talking(bus, nats_server, tmp_path, Script(GREETING)) as (end, _):
        monkeypatch.setattr(steering, "CallLog", Away)
        await refused(bus, end, Whisper("mira", "Offer her Friday."), "not_now")
        await done(bus, end, HangUp("mira", now=True))
        await end.until(lambda: end.ends == ["hangup"], "the end")
        await done(bus, end, HangUp("mira", now=True))
        assert end.ends == ["hangup"]
        assert len(end.clears) == 2, "what is left of the last words goes too"


# -- a call that is changing hands


async def test_the_one_who_took_a_call_over_obeys(bus, nats_server, tmp_path):
    async with (
        RealtimeServer(Scripts(Script(GREETING), Script())) as model,
        worker(nats_server, tmp_path / "two", model, agent_worker="two"),
        ringed_line(bus) as end,
    ):
        async with worker(nats_server, tmp_path / "one", model, agent_worker="one") as one:
            await assigned(end, one)
            await end.speak(20, SILENCE)
            await end.event("said", done=True)
        taken = await end.event("assigned", reason="handover")
        await end.event("session_opened", epoch=taken["sequence"])
        await end.until(lambda: told_by_log(model, 1), "the second session is told")
        await done(bus, end, Whisper("mira", "Offer her Friday."))
        await end.event("whispered", epoch=taken["sequence"])


def told_by_log(model, session: int) -> bool:
    return ("assistant", "Hello Ada.") in items_told(model.connections[session])


async def test_a_command_to_a_call_that_is_offered_waits_for_the_outcome(
    bus, nats_server, tmp_path
):
    """Nobody takes it: the one who offered it speaks again, and obeys."""
    ghost = WorkerId("ghost")

    async def ready(message) -> None:
        await bus.publish(message.reply, Prepared(codec.decode(PrepareCall, message.data).call))

    async def announce() -> None:
        while True:
            await bus.publish(subjects.AGENTS_LOAD, AgentLoad(ghost, 100, False, "1"))
            await asyncio.sleep(0.1)

    preparing = await bus.subscribe(subjects.agent_prepare(ghost), ready)
    leaving = asyncio.Event()
    async with (
        RealtimeServer(Scripts(Script(GREETING))) as model,
        ringed_line(bus) as end,
        asyncio.TaskGroup() as group,
    ):

        async def old_worker() -> None:
            async with worker(nats_server, tmp_path / "old", model, agent_drain_s=60):
                await leaving.wait()

        announcing = group.create_task(announce())
        group.create_task(old_worker())
        await assigned(end, "w-old")
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        leaving.set()
        await end.event("handing_over", timeout=10)
        await done(bus, end, HangUp("mira", now=True))
        assert (len(end.clears), end.ends) == (1, ["hangup"]), "the line was open to it again"
        await end.hang_up()
        announcing.cancel()
    await preparing.stop()
