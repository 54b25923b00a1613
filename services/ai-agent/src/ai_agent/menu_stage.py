"""The keypad menu of a call (shell): performs what the menu decides, without any AI session."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from ai_agent.call_voice import CallVoice
from ai_agent.effects import CallTool, Record
from ai_agent.held_call import HeldCall
from ai_agent.keypad_effects import (
    CallHuman,
    HangUp,
    MenuEffect,
    PromptName,
    RunMenu,
    SayPrompt,
    SayText,
    StopSpeech,
    TryConversation,
)
from ai_agent.menu import Menu
from ai_agent.prompts import prompt
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.speaker import Speaker
from ai_agent.stage import DONE, ENDING
from ai_agent.tool_calls import Done, ToolCalls
from protocol import line
from protocol.call import CallState, ToolUse
from protocol.commands import Refused, Reply
from protocol.events import Mode, ModeChanged
from protocol.ids import ItemId, ToolCallId
from runtime import clock
from runtime.assistant import somebody_there
from runtime.errors import StaleWriter
from runtime.tasks import Tasks

TICK_S = 0.25
WORDS_S = 5.0
"""How long the last words may take before the next stage speaks."""

ITEM = "key_"
"""Before the key of a menu item it is the item id of its tool calls."""
Next = Literal["assistant"]


class MenuStage:
    """Runs until the caller asks for the assistant or the call is over."""

    def __init__(
        self, held: HeldCall, speaker: Speaker, tools: ToolCalls, *, assistant_there: bool = True
    ) -> None:
        """``assistant_there`` False: no key leads to a conversation in this call any more."""
        self._held = held
        self._tools = tools
        assistant = held.brief.assistant
        now = clock.utc_now().astimezone(ZoneInfo(assistant.time_zone))
        self._menu = Menu(
            assistant.menu,
            assistant.silence,
            clock.monotonic_ms(),
            human=somebody_there(assistant.transfer, now),
            assistant=assistant_there and assistant.mode == "conversation",
        )
        self._voice = CallVoice(held, speaker, self._quiet)
        self._asked = asyncio.Event()
        self._tasks = Tasks("menu")
        self._first_tools: list[tuple[ToolUse, int | None]] = []

    def quiet(self) -> bool:
        return self._voice.idle and self._menu.quiet

    async def on_line_moved(self, ledger: tuple[line.Playhead, ...]) -> None:
        await self._voice.lost(ledger)

    async def run(
        self, *, reason: str, lead: PromptName | None, state: CallState | None = None
    ) -> Next:
        """The menu from its first choices on; returns when the assistant is asked for. ``state``:
        that of a call which may have been in the menu before.
        """
        now = clock.monotonic_ms()
        if self._held.floor.muted:
            self._menu.pause(now)
        if state is None or state.mode != "keypad":
            self._held.record(ModeChanged, {"mode": "keypad", "reason": reason})
            return await self._go(self._menu.start(now, lead))
        open_uses = [use for use in state.tools if not use.returned_sequence]
        for use in open_uses:
            run = self._menu.go_on(use.item_id.removeprefix(ITEM), now)
            self._first_tools.append((use, run))
        quietly = bool(open_uses) or state.taken == "handover"
        return await self._go([] if quietly else self._menu.start(now, lead))

    async def back(self) -> Next:
        """The assistant that was asked for does not work: go on here."""
        self._tasks = Tasks("menu")
        return await self._go(self._menu.on_assistant_away(clock.monotonic_ms()))

    async def _go(self, first: Sequence[MenuEffect]) -> Next:
        self._asked.clear()
        async with self._tasks as tasks:
            tasks.spawn(self._voice.run(), "voice")
            await self._perform(first)
            while self._first_tools:
                tasks.isolate(self._again(*self._first_tools.pop(0)), "tool")
            tasks.spawn(self._ticking(), "tick")
            await self._asked.wait()
            await self._voice.drained(WORDS_S)
        return "assistant"

    async def on_key(self, key: line.Dtmf) -> None:
        await self._perform(self._menu.on_key(key, clock.monotonic_ms()))

    async def on_heard(self, heard: line.Heard) -> None:
        await self._voice.heard(heard)

    async def on_cleared(self, cleared: line.Cleared) -> None:
        pass

    # -- commands

    async def say(self, text: str) -> Reply:
        if self._menu.done:
            return ENDING
        await self._perform(self._menu.say(text, clock.monotonic_ms()))
        return DONE

    async def hang_up(self) -> Reply:
        await self._perform(self._menu.hang_up())
        return DONE

    async def transfer(self) -> Reply:
        if self._menu.done:
            return ENDING
        await self._perform(self._menu.transfer(announced=self._menu.paused))
        return DONE

    async def change_mode(self, mode: Mode) -> Reply:
        if mode == "keypad":
            return DONE
        if self._menu.done:
            return ENDING
        if not self._menu.assistant:
            why = "the model is not to be had in this call: its budget is spent, or it has none"
            return Refused("not_allowed", why)
        await self._perform(self._menu.to_assistant(clock.monotonic_ms()))
        return DONE

    def refuses_operator(self) -> Refused | None:
        return ENDING if self._menu.done else None

    async def muted(self) -> None:
        self._menu.pause(clock.monotonic_ms())
        await self._voice.stop()

    async def unmuted(self) -> None:
        await self._perform(self._menu.resume(clock.monotonic_ms()))

    # -- within

    async def _quiet(self) -> None:
        await self._perform(self._menu.on_heard(clock.monotonic_ms()))

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._perform(self._menu.on_tick(clock.monotonic_ms()))

    async def _perform(self, effects: Sequence[MenuEffect]) -> None:
        language = self._held.brief.assistant.language
        for effect in effects:
            match effect:
                case SayPrompt():
                    self._voice.say(prompt(effect, language))
                case SayText():
                    otherwise = effect.otherwise and Sentence.fixed(effect.otherwise, language)
                    self._voice.say(self._text(effect), otherwise or None)
                case StopSpeech():
                    await self._voice.stop()
                case RunMenu():
                    self._tasks.isolate(self._run(effect), "tool")
                case CallHuman():
                    self._voice.end("transfer")
                case HangUp():
                    self._voice.end("hangup")
                case TryConversation():
                    self._asked.set()
                case Record():
                    self._held.record(effect.kind, effect.fields)

    def _text(self, wanted: SayText) -> Sentence:
        assistant = self._held.brief.assistant
        return Sentence(wanted.text, assistant.voice, assistant.language, wanted.personal)

    async def _run(self, wanted: RunMenu) -> None:
        item = wanted.item
        call = CallTool(
            ToolCallId(self._held.new_name("menu")),
            ItemId(f"{ITEM}{item.key}"),
            item.tool,
            msgspec.json.encode(item.arguments).decode(),
        )
        await self._answered(self._tools.run(call, self._held.brief), wanted.run)

    async def _again(self, use: ToolUse, run: int | None) -> None:
        """A tool that a worker before asked, and was gone before its answer."""
        await self._answered(self._tools.again(use, self._held.brief), run)

    async def _answered(self, work: Coroutine[None, None, Done], run: int | None) -> None:
        try:
            done = await work
        except StaleWriter:
            return self._held.watch.leave("stale")
        if run is not None:
            now = clock.monotonic_ms()
            await self._perform(self._menu.on_tool_output(run, done.output, now))
        return None
