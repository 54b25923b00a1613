"""`make demo-full`: what else a caller can do, in one call through the real services, then judged.

A PIN before anything is said, speaking over the assistant, a key in the conversation, the fall to
the keypad when the voice model is gone, and the way back. Exit code 0 means that all of it
happened. The model is always the local one: it is stopped in mid-call.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from testbed.demo import NUMBER, fresh, seed, simulated
from testbed.desk_link import login_link
from testbed.follower import Event, Follower
from testbed.launcher import Launch, Running, VoiceModel, running
from testbed.process import StartError
from testbed.scenario import ANSWER_S, LISTEN_MS, TRIES
from testbed.screen import Screen
from testbed.twilio import Call
from testbed.voice.speaker import CALLER_VOICE, Speaker

PIN = "4711"
WRONG_PIN = "1234"
OVER_MS = 1_500
"""So much of the greeting is heard before the caller speaks over it."""
STEP_S = 30.0
PROFILE = "on-your-plate.toml"
GATE = """
# For the demo alone: asks every caller for a PIN.
[pin]
required = true
"""


class Missing(Exception):
    """A step of the call did not happen, in a sentence."""


class FullCall:
    """One call of a caller who does everything; each step waits for what the log must say."""

    def __init__(self, call: Call, follower: Follower, model: VoiceModel, screen: Screen) -> None:
        self._call = call
        self._follower = follower
        self._model = model
        self._screen = screen
        self._speaker = Speaker()

    async def run(self) -> None:
        """All steps in order. Raises Missing, TimeoutError."""
        call = self._call
        await self._said("enter your PIN")
        await call.heard_silence(LISTEN_MS, ANSWER_S)
        call.press(WRONG_PIN + "#")
        await self._until("a wrong PIN is rejected", lambda: self._of("pin_rejected"))
        if self._of("session_opened"):
            raise Missing("a session of the model was opened before the PIN was right")
        call.press(PIN + "#")
        await self._until("the right PIN is accepted", lambda: self._of("pin_accepted"))

        await self._until("the assistant greets", self._talking)
        before = call.ear.heard_ms()
        await call.wait_until(lambda c: c.ear.heard_ms() >= before + OVER_MS, STEP_S)
        await self._ask("what do i have today", "today")
        await self._until("speaking over the assistant cuts it", lambda: self._of("barged_in"))

        call.press("2")
        await self._tool("tomorrow", "key 2 in the conversation")
        await call.heard_silence(LISTEN_MS, ANSWER_S)

        self._screen.say("  the voice model is stopped", "bad")
        await self._model.stop()
        await self._until("without the model the keypad takes over", lambda: self._mode("keypad"))
        await self._said("switching to the keypad")
        await self._said("Press 1 for today")
        await call.heard_silence(LISTEN_MS, ANSWER_S)
        call.press("1")
        await self._tool("today", "key 1 of the keypad")
        await self._said("Here is what you have for today")
        await call.heard_silence(LISTEN_MS, ANSWER_S)

        self._screen.say("  the voice model is started again", "good")
        await self._model.start()
        call.press("*")
        await self._until(
            "star leads back to the assistant",
            lambda: len(self._of("mode_changed")) > 3 and self._mode("conversation"),
        )
        await call.heard_silence(LISTEN_MS, ANSWER_S)
        await self._ask("what do i have today", "today")

    async def settled(self) -> None:
        """Hang up and wait for the end of the log."""
        await self._call.hang_up()
        await self._call.ended(15)
        await self._until("the log tells that the caller hung up", self._hung_up)

    async def _ask(self, words: str, period: str) -> None:
        """Say it, again if it was not understood, until the tool answered; hear the answer."""
        for _ in range(TRIES):
            asked = self._tools(period)
            self._call.say(await self._speaker.speak(words, CALLER_VOICE))
            await self._call.heard_silence(LISTEN_MS, ANSWER_S)
            if self._tools(period) > asked:
                return
        raise Missing(f"'{words}' did not lead to get_tasks")

    async def _tool(self, period: str, what: str) -> None:
        asked = self._tools(period)
        await self._until(f"{what} asks for {period}", lambda: self._tools(period) > asked)

    async def _said(self, text: str) -> None:
        def there() -> bool:
            return any(text in event["text"] for event in self._of("said") if event["done"])

        await self._until(f"the caller is told '{text}'", there)

    async def _until(self, what: str, holds: Callable[[], object]) -> None:
        if not await self._follower.wait(self._call.sid, lambda _: bool(holds()), STEP_S):
            raise Missing(what)

    def _of(self, name: str) -> Sequence[Event]:
        return self._follower.of(self._call.sid, name)

    def _mode(self, mode: str) -> bool:
        return [event["mode"] for event in self._of("mode_changed")][-1:] == [mode]

    def _talking(self) -> bool:
        opened = self._of("session_opened")
        return bool(opened) and any(e["response_id"] for e in self._of("said"))

    def _hung_up(self) -> bool:
        return [event["reason"] for event in self._of("call_ended")] == ["caller_hung_up"]

    def _tools(self, period: str) -> int:
        """How often todos of this period were given."""
        given = {event["called"] for event in self._of("tool_returned") if event["outcome"] == "ok"}
        asked = [e for e in self._of("tool_called") if e["id"] in given]
        return sum(f'"{period}"' in event["arguments"] for event in asked)


async def demo_full(launch: Launch) -> int:
    """Start, seed, call, judge. The exit code."""
    screen = Screen()
    screen.say("Trunkline demo, all of it: starting the system (NATS, PostgreSQL, five services)")
    fresh(launch.data)
    try:
        async with running(_gated(launch), screen) as up:
            await seed(up)
            await _set_pin(up)
            screen.say(
                f"\nWatch it at the desk (this logs in, once): {await login_link(up.system)}"
            )
            screen.say("\nThe call, as its events tell it (UTC):")
            missing = await _called(up, screen)
    except StartError as error:
        screen.say(f"cannot start: {error}", "bad")
        return 1
    if missing:
        screen.say(f"  missing: {missing}", "bad")
        return 1
    screen.say("\nEvery step of the call happened.", "good")
    return 0


async def _called(up: Running, screen: Screen) -> str:
    """Make the call; the step that is missing, "" when none is."""
    assert up.model is not None, "started without a key, so the model is local"
    async with (
        Follower(up.system.nats_url, on_event=screen.event) as follower,
        simulated(up.system) as twilio,
    ):
        made = FullCall(await twilio.dial(NUMBER), follower, up.model, screen)
        missing = ""
        try:
            await made.run()
        except (Missing, TimeoutError) as error:
            missing = str(error).splitlines()[0]
        try:
            await made.settled()
        except (Missing, TimeoutError) as error:
            missing = missing or str(error).splitlines()[0]
        return missing


def _gated(launch: Launch) -> Launch:
    """The same start with the planner's profile behind a PIN, and without a key of OpenAI."""
    folder = launch.data / "assistants"
    folder.mkdir(parents=True, exist_ok=True)
    profile = (launch.repository / "assistants" / PROFILE).read_text()
    (folder / PROFILE).write_text(profile + GATE)
    local = {n: v for n, v in launch.environment.items() if not n.startswith("OPENAI_")}
    return replace(launch, assistants=folder, environment={"SPEAKER_PROVIDERS": "espeak"} | local)


async def _set_pin(up: Running) -> None:
    """The operator's command, the PIN on its standard input."""
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tool_runner.set_pin", "--number", NUMBER),
        env=dict(os.environ) | {"DATABASE_URL": up.system.database_url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await command.communicate(f"{PIN}\n".encode())
    if command.returncode != 0:
        raise StartError(f"the caller's PIN could not be set: {said.decode().strip()}")
