"""What should not come and comes: floods of keys, a caller who never lets the assistant finish,
tools that answer garbage, PINs that are none, profiles that cannot be used.

The call goes on each time: the last answer is heard whole.
"""

import asyncio
import json
import os
import sys
from importlib import resources
from pathlib import Path

import nats
import pytest
from nats import micro
from nats.micro.service import EndpointConfig

from testbed.realtime import AnyOrder, CallTool, OnResponse, OnSpeech, Say, expect_output, tone
from testbed.realtime.script import IGNORED, Script

LOCKED = "+15550140500"
KEYPAD = "+15550140501"
TALK = "+15550140502"
TOOLS = "+15550140503"
NEW = "+15550140504"
BAD_MENU = "+15550140506"
CALLER = "+15550140510"
FLOODER = "+15550140511"
PIN = "48151623"
WRONG = "90210774"
FLOOD = 300
MOST_KEYS = 100
"""Keys of a call at the gate that are acted on."""
HELLO = Say("Hello.", audio_ms=500)
ANSWER = Say("Here is the answer.", audio_ms=700)
AGAIN = Say("And here is another one.", audio_ms=600)
SLOWLY = Say("Slowly, please.", audio_ms=300)
TYPED = Say("That is a long number.", audio_ms=800)
CHOICES = "Press 1 for today."
FREE = "Nothing is planned for today."
DEADLINE_MS = 1_500
BARGE_INS = 100
LONG_MS = 8_000
NO_SILENCE = "[silence]\nreminder_s = 0\nhang_up_s = 0\n"
WORDS = 'instructions = "Be brief."\ngreeting = "Greet the caller."\n'
MENU = """
[[menu]]
key = "1"
label = "today"
tool = "{}"
arguments = {{ period = "today" }}
empty = "{}"
"""
PROFILES = {
    LOCKED: 'tools = ["get_tasks"]\n[pin]\nrequired = true\nreminder_s = 1\nreminders = 9\n',
    KEYPAD: f'mode = "keypad"\ntools = ["get_tasks"]\n{NO_SILENCE}{MENU.format("get_tasks", FREE)}',
    TALK: f"{NO_SILENCE}[turn_detection]\nsilence_duration_ms = 100\nprefix_padding_ms = 0\n",
}


def shipped(name: str) -> bytes:
    """A prompt as the installation speaks it."""
    return (resources.files("ai_agent") / f"speaker/prompts/en/{name}.ulaw").read_bytes()


def sound(*says: Say) -> bytes:
    return b"".join(tone(say.text, say.audio_ms) for say in says)


ANSWERS = {
    "not_json": b"<html>502 Bad Gateway</html>",
    "nothing": b"",
    "not_text": b'{"found":"\xff\xfe"}',
    "a_list": b'["a","b"]',
    "deep": b'{"found":' + b"[" * 9_000 + b"]" * 9_000 + b"}",
    "huge": json.dumps({"found": '"' * 300_000}).encode(),
}


class BadTools:
    """A tool service that does everything wrong, one way a tool."""

    def __init__(self) -> None:
        self.late: list[micro.Request] = []
        """Requests that nobody answered."""

    async def serve(self, client) -> None:
        service = await micro.add_service(client, name="bad-tools", version="1.0.0")
        handlers = {name: self._answering(answer) for name, answer in ANSWERS.items()}
        handlers |= {"broken": self._break, "twice": self._twice, "never": self._never}
        for name, handler in handlers.items():
            await service.add_endpoint(
                EndpointConfig(
                    name=name,
                    subject=f"tools.{name}",
                    handler=handler,
                    metadata={"description": "A tool.", "schema": '{"type":"object"}'},
                )
            )
        endpoint = {"name": "ghost", "subject": "tools.ghost", "metadata": {"schema": "{}"}}
        self._info = {
            "type": "io.nats.micro.v1.info_response",
            **{"name": "ghosts", "id": "g", "version": "1.0.0", "endpoints": [endpoint]},
        }
        await client.subscribe("$SRV.INFO", cb=self._offer_a_ghost)
        await client.flush()

    async def _offer_a_ghost(self, message) -> None:
        await message.respond(json.dumps(self._info).encode())

    def _answering(self, answer: bytes):
        async def handle(request: micro.Request) -> None:
            await request.respond(answer)

        return handle

    async def _break(self, request: micro.Request) -> None:
        await request.respond_error("banana", "The planner is being painted.")

    async def _twice(self, request: micro.Request) -> None:
        await request.respond(b'{"status":"ok","found":"first"}')
        await request.respond(b'{"status":"ok","found":"second"}')

    async def _never(self, request: micro.Request) -> None:
        self.late.append(request)


OUTCOMES = {
    **{"not_json": "failed", "nothing": "failed", "not_text": "failed", "a_list": "failed"},
    **{"deep": "failed", "huge": "failed", "broken": "failed", "twice": "ok"},
    **{"never": "timeout", "ghost": "timeout"},
}


class Talker:
    """A model that has a long answer to everything, until it is to say ``last``."""

    def __init__(self) -> None:
        self.failure: str | None = None
        self.said: list[Say] = []
        self.last: Say | None = None

    def attach(self, controls) -> None: ...

    def observe(self, event) -> None: ...

    async def hear(self, item) -> str:
        return "no, wait"

    async def reply(self, request):
        number = len(self.said)
        text = f"answer {number}: " + "and so on " * 20
        say = self.last or Say(text, audio_ms=LONG_MS, audio=tone(text, LONG_MS))
        self.said.append(say)
        return [say]

    def response_done(self, response) -> None: ...

    def detach(self) -> None: ...


def write(folder: Path, number: str, rest: str) -> Path:
    file = folder / f"{number[-3:]}.toml"
    file.write_text(f'name = "p{number[-3:]}"\nnumbers = ["{number}"]\n{WORDS}{rest}')
    return file


async def run(*arguments: str, given: str = "", **environment: str) -> tuple[int, str]:
    """A program of the system; exit code and what it wrote."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]} | environment,
    )
    out, _ = await program.communicate(given.encode())
    return program.returncode or 0, out.decode()


@pytest.fixture(scope="module")
async def house(new_system, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bad-input")
    for number, rest in PROFILES.items():
        write(folder, number, rest)
    env = {"ASSISTANTS_DIR": str(folder)}
    agent = env | {"SPEAKER_PROVIDERS": "espeak"}
    async with new_system(ai_agent=agent, webhooks=env) as world:
        database = world.stack.database_url
        both = (("tool_runner.set_pin", "--number", number) for number in (CALLER, FLOODER))
        done = await asyncio.gather(
            *(run(*each, given=PIN, DATABASE_URL=database) for each in both)
        )
        assert [code for code, _ in done] == [0, 0], done
        client = await nats.connect(world.stack.nats_url)
        tools = BadTools()
        await tools.serve(client)
        # An agent waits for the tools of its profiles when it starts, and learns of them then.
        named = json.dumps([*OUTCOMES])
        more = f"tools = {named}\ntool_deadline_ms = {DEADLINE_MS}\n{NO_SILENCE}"
        write(folder, TOOLS, more + "[limits]\nfiller_ms = 0\n")
        menu = MENU.format("not_text", FREE) + MENU.format("never", FREE).replace("1", "2")
        write(folder, BAD_MENU, f'mode = "keypad"\n{more}{menu}')
        await world.stack.restart("ai-agent-1")
        yield world, tools, folder
        await client.close()


@pytest.fixture
async def office(house):
    """A system with a number for each kind of trouble."""
    world = house[0]
    world.begin()
    yield world
    await world.settle()


async def dial(world, number: str, caller: str = CALLER):
    return await world.twilio.dial(caller, number)


async def prompted(world, number: str, caller: str = CALLER):
    """A call to a number that begins with a prompt, in the middle of it."""
    call = await dial(world, number, caller)
    await call.wait_until(lambda c: c.ear.heard_ms() > 300, world.patience_s)
    return call


async def ends_with(world, call, *audio: bytes) -> None:
    """Wait until these are the last that the ear has got."""
    last = b"".join(audio)
    await call.wait_until(lambda c: c.ear.audio().endswith(last), world.patience_s)


def only(events: list[dict], name: str) -> dict:
    (found,) = [event for event in events if event["event"] == name]
    return found


def of(events: list[dict], name: str) -> list[dict]:
    return [event for event in events if event["event"] == name]


# -- keys


async def test_a_flood_of_keys_at_the_gate_ends_the_call_and_guesses_nothing(office) -> None:
    call = await prompted(office, LOCKED, FLOODER)
    assert call.press((WRONG * FLOOD)[:FLOOD])
    events = await office.ended(call)
    refused = call.ear.audio().endswith(shipped("gate_refused"))
    assert refused, "the caller is told, to the end"
    assert call.end_reason == "hangup_verb"
    keys = of(events, "key_pressed")
    assert 0 < len(keys) <= MOST_KEYS
    assert {(key["digit"], key["masked"]) for key in keys} == {("•", True)}
    assert len(of(events, "pin_rejected")) <= 3
    assert only(events, "call_ended")["reason"] == "assistant_hung_up"
    assert WRONG not in json.dumps(events)
    guesses = await office.rows("select * from pin_attempts where call_id = $1", call.sid)
    assert len(guesses) <= 3, "three tries a call, however many keys"
    assert office.model.connections == []


async def test_a_pin_of_stars_and_one_too_long_are_no_way_in_and_no_way_out(office) -> None:
    script = office.script(OnResponse(HELLO))
    call = await prompted(office, LOCKED)
    prompt, reminder, wrong = map(shipped, ("gate_prompt", "gate_reminder", "gate_wrong_2"))
    before = len(call.ear.audio())
    assert call.press("****#*#")
    await ends_with(office, call, reminder)
    asked = call.ear.audio()
    cut = len(asked) - len(reminder)
    assert asked[:cut] == prompt[:cut]
    assert before <= cut < len(prompt), "a key silences the prompt"
    assert of(office.events(call), "pin_rejected") == [], "nothing was entered"
    assert call.press(f"{WRONG}7777")
    await call.wait_until(lambda c: len(c.ear.audio()) > len(asked), office.patience_s)
    await office.logged(call, "pin_rejected")
    assert [e["tries_left"] for e in of(office.events(call), "pin_rejected")] == [2]
    assert office.model.connections == []
    assert call.press(f"{PIN}#")
    await ends_with(office, call, shipped("gate_accepted"), sound(HELLO))
    told = (
        call.ear.audio().removeprefix(asked).removesuffix(shipped("gate_accepted") + sound(HELLO))
    )
    assert told
    assert wrong.startswith(told), "one refusal, until the next key"
    await script.finished()
    events = await office.hung_up(call)
    keys = of(events, "key_pressed")
    assert {(key["digit"], key["masked"]) for key in keys} == {("•", True)}
    assert len(keys) >= len(f"****#*#{WRONG}{PIN}")
    failures = await office.rows("select failures from pin_failures where number = $1", CALLER)
    assert failures == [], "the right PIN forgives"


async def test_a_flood_of_keys_at_the_keypad_leaves_the_menu_working(office) -> None:
    call = await prompted(office, KEYPAD)
    assert call.press("7" * FLOOD)
    unknown = shipped("keypad_unknown_key")
    await call.wait_until(lambda c: unknown in c.ear.audio(), office.patience_s)
    choices = await said_last(office, call, CHOICES)
    choices_audio = call.ear.audio().rpartition(unknown)[2]
    assert abs(len(choices_audio) / 8 - choices["generated_ms"]) <= 20, "and the choices, whole"
    pressed = of(office.events(call), "key_pressed")
    assert 20 <= len(pressed) < FLOOD / 2, "no finger is that fast"
    heard = len(call.ear.audio())
    assert call.press("1")
    answer = await said_last(office, call, FREE)
    assert abs((len(call.ear.audio()) - heard) / 8 - answer["generated_ms"]) <= 20
    events = await office.hung_up(call)
    assert [key["digit"] for key in of(events, "key_pressed")][-1] == "1"
    assert only(events, "tool_returned")["outcome"] == "ok"
    assert office.model.connections == []


async def said_last(world, call, text: str) -> dict:
    """Wait until the newest sentence has these words and was heard to its end."""

    def heard(events: list[dict]) -> bool:
        said = [e for e in of(events, "said") if e["done"]]
        ends = {e["item_id"] for e in of(events, "heard") if not e["cut"]}
        return bool(said) and text in said[-1]["text"] and said[-1]["item_id"] in ends

    there = await world.follower.wait(call.sid, heard, world.patience_s)
    assert there, [event["text"] for event in of(world.events(call), "said")]
    return of(world.events(call), "said")[-1]


async def test_a_flood_of_keys_in_a_conversation_is_told_once_and_the_talk_goes_on(office) -> None:
    texts: list[str] = []

    def told(words: str):
        def where(request) -> bool:
            texts.append(json.dumps([item.raw for item in request.items], default=str))
            return words in texts[-1]

        return where

    script = Script(
        OnResponse(HELLO),
        OnResponse(SLOWLY),
        OnResponse(TYPED),
        OnSpeech("never mind", ANSWER),
        ignored=IGNORED | {"conversation.item.truncate"},
    )
    office.follows(script)
    call = await dial(office, TALK)
    await office.heard(call, sound(HELLO))
    assert call.press("5" * FLOOD)
    await ends_with(office, call, sound(TYPED))
    between = call.ear.audio()[len(sound(HELLO)) : -len(sound(TYPED))]
    assert between
    assert sound(SLOWLY).startswith(between)
    call.say(tone("never mind", 400))
    await office.heard(call, sound(HELLO), between, sound(TYPED), sound(ANSWER))
    await script.finished()
    created = [
        event["item"]["content"][0]["text"]
        for event in office.connection(call).received
        if event["type"] == "conversation.item.create" and event["item"]["role"] == "user"
    ]
    assert len(created) == 2
    assert "faster than they can be followed" in created[0]
    assert created[1].startswith("The caller typed 55555")
    assert created[1].count("5") <= 32 + created[1].count("more keys") * 10
    events = await office.hung_up(call)
    pressed = of(events, "key_pressed")
    assert 20 <= len(pressed) < FLOOD / 2
    assert only(events, "call_ended")["reason"] == "caller_hung_up"


# -- a caller who interrupts


def pieces(audio: bytes, says: list[Say]) -> list[int]:
    """The audio as beginnings of what was said, in its order: bytes of each; fails otherwise."""
    lengths, at = [], 0
    tones = [sound(say) for say in says]
    for whole, following in zip(tones, [*tones[1:], b""], strict=True):
        length = 0
        while audio[at + length : at + length + 1] == whole[length : length + 1] != b"":
            length += 1
        # The next one may happen to begin with the bytes that would have followed here.
        end = at + length
        while length and following[:16] and audio[end : end + 16] != following[:16]:
            length, end = length - 1, end - 1
        lengths.append(length)
        at = end
    assert at == len(audio), f"at {at} of {len(audio)} bytes something was heard out of its place"
    return lengths


async def test_a_hundred_interruptions_and_then_an_answer_heard_whole(office) -> None:
    talker = Talker()
    office.follows(talker)
    call = await dial(office, TALK)

    def hears_the_newest() -> bool:
        newest = talker.said[-1].audio or b""
        return bool(call.ear.sounds) and bytes(call.ear.sounds[-1].audio[-80:]) in newest

    for count in range(1, BARGE_INS + 1):
        await office.until(
            lambda count=count: len(talker.said) == count and hears_the_newest(),
            f"answer {count} is heard",
        )
        if count == BARGE_INS:
            talker.last = ANSWER
        call.say(tone("no, wait", 100))
    await ends_with(office, call, sound(ANSWER))

    def heard_whole(events: list[dict]) -> bool:
        return any(not event["cut"] for event in of(events, "heard"))

    assert await office.follower.wait(call.sid, heard_whole, office.patience_s)
    await office.until(lambda: len(of(office.events(call), "barged_in")) == BARGE_INS, "all")
    events = await office.hung_up(call)
    assert len(talker.said) == BARGE_INS + 1
    heard = pieces(call.ear.audio(), talker.said)
    assert heard[-1] == len(sound(ANSWER)), "after it nothing of the cancelled ones was heard"
    assert min(heard) > 0
    cuts = of(events, "barged_in")
    assert len({cut["item_id"] for cut in cuts}) == BARGE_INS
    # One may lie farther off where the machine stood still for a moment; most may not.
    off = sorted(abs(c["heard_ms"] - n / 8) for c, n in zip(cuts, heard, strict=False))
    assert off[BARGE_INS // 2] <= 60, "the log is what the ear got"
    assert len(of(events, "turn_committed")) == BARGE_INS
    assert [event["cut"] for event in of(events, "heard")] == [True] * BARGE_INS + [False]
    assert only(events, "call_ended")["reason"] == "caller_hung_up"


# -- tools


async def test_whatever_a_tool_answers_the_model_gets_sense_and_the_call_goes_on(
    office, house
) -> None:
    tools = house[1]
    told: dict[str, dict] = {}

    def sensible(name: str):
        def where(output) -> bool:
            told[name] = output
            return isinstance(output, dict) and len(json.dumps(output)) < 40_000

        return where

    script = office.script(
        OnResponse(HELLO),
        OnSpeech("do everything", *(CallTool(name, {}, name) for name in OUTCOMES)),
        AnyOrder(*(expect_output(name, sensible(name)) for name in OUTCOMES)),
        OnResponse(ANSWER),
        OnSpeech("and now", CallTool("no_such_tool", "{not json", "t1")),
        expect_output("t1", lambda out: out["status"] == "failed"),
        OnResponse(AGAIN),
    )
    call = await dial(office, TOOLS)
    await office.heard(call, sound(HELLO))
    call.say(tone("do everything", 500))
    await office.heard(call, sound(HELLO, ANSWER))
    await tools.late.pop().respond(b'{"status":"ok","found":"much too late"}')
    call.say(tone("and now", 500))
    await office.heard(call, sound(HELLO, ANSWER, AGAIN))
    await script.finished()
    events = await office.hung_up(call)
    returned = {event["tool_call_id"]: event for event in of(events, "tool_returned")}
    assert {name: event["outcome"] for name, event in returned.items()} == {
        **OUTCOMES,
        "t1": "failed",
    }
    for name, output in told.items():
        assert json.loads(returned[name]["result"]) == output, "the log has what the model got"
        if name != "twice":
            assert output["status"] == "failed", name
            assert output["message"], name
    assert told["twice"] == {"status": "ok", "found": "first"}
    assert told["broken"]["message"] == "The planner is being painted."
    assert "did not answer in time" in told["never"]["message"]
    called = of(events, "tool_called")
    assert len(called) == len(OUTCOMES) + 1
    assert {event["called"] for event in returned.values()} == {event["id"] for event in called}


async def test_a_menu_key_whose_tool_fails_is_owned_up_to(office) -> None:
    call = await prompted(office, BAD_MENU)
    sorry = shipped("tool_failed")
    assert call.press("1")
    await ends_with(office, call, sorry)
    before = len(call.ear.audio())
    assert call.press("2")
    await ends_with(office, call, sorry, sorry)
    assert len(call.ear.audio()) == before + len(sorry), "nothing in between"
    events = await office.hung_up(call)
    assert [key["digit"] for key in of(events, "key_pressed")] == ["1", "2"]
    returned = of(events, "tool_returned")
    assert [event["outcome"] for event in returned] == ["failed", "timeout"]
    assert [event["called"] for event in returned] == [e["id"] for e in of(events, "tool_called")]
    assert office.model.connections == []


# -- profiles


async def test_a_broken_profile_is_named_in_the_log_and_running_numbers_answer(
    office, house
) -> None:
    folder = house[2]

    def complaints() -> list[str]:
        return [
            json.loads(line)["reason"]
            for name, line in office.stack.lines
            if name == "ai-agent-1" and "profiles not read, the old ones stay" in line
        ]

    async def answered(number: str) -> None:
        script = office.script(OnResponse(HELLO))
        call = await dial(office, number)
        await office.heard(call, sound(HELLO))
        await script.finished()
        events = await office.hung_up(call)
        assert only(events, "session_opened")["profile"] == f"p{number[-3:]}"

    broken = write(folder, NEW, f"{NO_SILENCE}[limits]\ncall_secs = 5\n")
    menu = write(folder, "+15550140505", f"tools = []\n{MENU.format('get_task', FREE)}")
    try:
        async with asyncio.timeout(office.patience_s):
            while not complaints():  # a folder is looked at with a call, every other second
                await answered(TALK)
        (reason,) = complaints()
        assert "504.toml: limits.call_secs: there is no such key" in reason
        assert "505.toml: menu[0].tool: 'get_task' is not among tools" in reason
        await answered(TALK)
        assert len(complaints()) == 1, "said once"
    finally:
        menu.unlink()
        broken.unlink()


async def test_an_agent_does_not_start_with_a_menu_item_that_names_no_tool(tmp_path) -> None:
    write(tmp_path, NEW, f'tools = ["get_tasks"]\n{MENU.format("get_task", FREE)}')
    code, said = await run(
        "ai_agent",
        ASSISTANTS_DIR=str(tmp_path),
        OPENAI_API_KEY="a-key",
        NATS_URL="nats://127.0.0.1:9",
        SPEAKER_PROVIDERS="espeak",
    )
    assert code != 0
    assert "504.toml: menu[0].tool: 'get_task' is not among tools" in said
    assert "Traceback" not in said
