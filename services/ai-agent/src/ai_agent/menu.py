"""The keypad mode of one call (PURE): choices told by a speaker without the model, keys in, tools
and spoken lists out.

The call runner speaks, runs the tools and reports back; every ``now_ms`` is monotonic. It is the
mode of profiles that say so and the tier to which a call falls when the model cannot be used.
"""

from collections.abc import Sequence
from typing import Literal

from ai_agent import menu_words
from ai_agent.effects import Record
from ai_agent.key_flood import KeyFlood
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
from ai_agent.quiet import EndForSilence, Quiet, Remind
from protocol import line
from protocol.events import KeyPressed
from runtime.assistant import MenuItem, Silence

AGAIN_MS = 3_000
"""Silence after an answer until the choices are told again."""
SPEECH_MS = 8_000
CHAR_MS = 120
"""A text counts as heard after SPEECH_MS and this for each character, should nobody report it."""
WAIT_MS = 65_000
"""An answer of a tool or the assistant is waited for at most this long: the longest deadline."""
HUMAN_KEY = "0"


class Menu:
    """The menu of one call. ``human``: key 0 reaches somebody now. ``assistant``: the caller may
    ask for the assistant, by ``*`` or, where an item has that, by ``#``; both may be changed.
    """

    def __init__(
        self,
        items: Sequence[MenuItem],
        silence: Silence,
        now_ms: int,
        *,
        human: bool,
        assistant: bool,
    ) -> None:
        self.human = human
        self.assistant = assistant
        self._items = {item.key: item for item in items}
        self._back = "#" if "*" in self._items else "*"
        self._quiet = Quiet(silence, now_ms)
        self._flood = KeyFlood()
        self._runs = 0
        self._running: MenuItem | None = None
        self._next: str | None = None
        self._trying = False
        self._waiting_ms = 0
        self._speaks_until_ms: int | None = None
        self._answered_ms: int | None = None
        self._answering = False
        self._paused = False
        self._gone: Literal["", "human", "silence", "operator"] = ""

    @property
    def done(self) -> bool:
        """The caller was put through or hung up on: nothing follows but ``on_human_away``."""
        return bool(self._gone)

    @property
    def paused(self) -> bool:
        """Somebody else speaks with the caller."""
        return self._paused

    @property
    def quiet(self) -> bool:
        """Nothing is said, waited for or over: another worker could go on here."""
        waits = self._speaks_until_ms is not None or self._running is not None or self._trying
        return not waits and not self._gone

    # -- operators

    def say(self, text: str, now_ms: int) -> list[MenuEffect]:
        """Speak ``text`` after what is being said; nothing is left of it for long."""
        self._speak(now_ms, text)
        return [SayText(text, personal=True)]

    def hang_up(self) -> list[MenuEffect]:
        """End the call once what is being said was heard."""
        self._gone = "operator"
        return [HangUp("operator")]

    def transfer(self, *, announced: bool) -> list[MenuEffect]:
        """Put the caller through; ``announced``: they know."""
        self._gone = "human"
        return [CallHuman()] if announced else [SayPrompt("transferring"), CallHuman()]

    def to_assistant(self, now_ms: int) -> list[MenuEffect]:
        """As if the caller had asked for the assistant, who must be there."""
        if self._trying:
            return []
        return [*self._stop(now_ms), *self._try(now_ms)]

    def pause(self, now_ms: int) -> list[MenuEffect]:
        """Somebody else speaks with the caller: say nothing, let keys come to nothing but the
        log.
        """
        self._paused = True
        self._next = None
        return self._stop(now_ms)

    def resume(self, now_ms: int) -> list[MenuEffect]:
        """The caller is the menu's again: the choices."""
        self._paused = False
        self._quiet.stirred(now_ms)
        return self._tell(now_ms)

    # -- from the runner

    def go_on(self, key: str, now_ms: int) -> int | None:
        """Instead of ``start``, after a worker that ran the item ``key`` and is gone: the number
        under which its answer is awaited; None when there is no such item.
        """
        item = self._items.get(key)
        if item is None:
            return None
        self._runs += 1
        self._running = item
        self._wait(now_ms)
        return self._runs

    def start(self, now_ms: int, lead: PromptName | None = None) -> list[MenuEffect]:
        """Tell the choices, after ``lead``: the one sentence that says why the call is here."""
        return self._tell(now_ms, lead)

    def on_heard(self, now_ms: int) -> list[MenuEffect]:
        """Everything that was said has been heard, or nothing can be said."""
        if self._speaks_until_ms is not None:
            self._speaks_until_ms = None
            self._answered_ms = now_ms if self._answering else None
            self._hold(now_ms)
        return []

    def on_key(self, key: line.Dtmf, now_ms: int) -> list[MenuEffect]:
        """A key: acts at once, also while something is said. One tool runs at a time; of the keys
        pressed meanwhile the last counts.
        """
        if self._gone or not self._flood.take(now_ms):
            return []
        self._quiet.stirred(now_ms)
        self._answered_ms = None
        pressed = Record(KeyPressed, {"digit": key.digit, "line_ms": key.line_ms})
        if self._trying or self._paused:
            return [pressed]
        if self._running is not None:
            self._next = key.digit
            return [pressed]
        return [pressed, *self._stop(now_ms), *self._act(key.digit, now_ms)]

    def on_tool_output(self, run: int, output: str, now_ms: int) -> list[MenuEffect]:
        """The answer (JSON text) of ``RunMenu`` number ``run``; late or repeated ones do
        nothing.
        """
        item = self._running
        if self._gone or item is None or run != self._runs:
            return []
        self._running = None
        if self._paused:
            return []
        if self._next is not None:
            pressed, self._next = self._next, None
            return [*self._stop(now_ms), *self._act(pressed, now_ms)]
        text = menu_words.answer(item, output)
        self._speak(now_ms, text or "", answering=True)
        return [SayPrompt("tool_failed") if text is None else SayText(text, personal=True)]

    def on_assistant_away(self, now_ms: int) -> list[MenuEffect]:
        """The assistant that was asked for still cannot be reached."""
        if not self._trying:
            return []
        self._trying = False
        return self._tell(now_ms, "keypad_not_back")

    def on_human_away(self, now_ms: int) -> list[MenuEffect]:
        """Nobody could be put through to."""
        if self._gone != "human":
            return []
        self._gone = ""
        return self._tell(now_ms, "nobody")

    def on_tick(self, now_ms: int) -> list[MenuEffect]:
        """Time passes: call it a few times a second."""
        if self._gone or self._paused:
            return []
        if self._speaks_until_ms is not None and now_ms >= self._speaks_until_ms:
            self.on_heard(now_ms)
        if now_ms - self._waiting_ms >= WAIT_MS:
            if self._trying:
                return self.on_assistant_away(now_ms)
            if self._running is not None:
                return self.on_tool_output(self._runs, '{"status":"failed"}', now_ms)
        if self._answered_ms is not None and now_ms - self._answered_ms >= AGAIN_MS:
            return self._tell(now_ms)
        return self._silence(now_ms)

    # -- what follows

    def _act(self, key: str, now_ms: int) -> list[MenuEffect]:
        item = self._items.get(key)
        if item is not None:
            self._runs += 1
            self._running = item
            self._wait(now_ms)
            return [RunMenu(self._runs, item)]
        if key == HUMAN_KEY:
            if not self.human:
                return self._tell(now_ms, "nobody")
            self._gone = "human"
            return [SayPrompt("transferring"), CallHuman()]
        if key == self._back and self.assistant:
            return self._try(now_ms)
        return self._tell(now_ms, "keypad_unknown_key")

    def _try(self, now_ms: int) -> list[MenuEffect]:
        self._trying = True
        self._speak(now_ms, menu_words.ONE_MOMENT)
        self._wait(now_ms)
        return [SayText(menu_words.ONE_MOMENT), TryConversation()]

    def _silence(self, now_ms: int) -> list[MenuEffect]:
        effects: list[MenuEffect] = []
        for due in self._quiet.on_tick(now_ms):
            match due:
                case Remind():
                    effects += self._tell(now_ms, "still_there")
                case EndForSilence():
                    effects += [SayPrompt("silent_goodbye"), HangUp("silence")]
                    self._gone = "silence"
                case Record():
                    effects.append(due)
        return effects

    def _tell(self, now_ms: int, lead: PromptName | None = None) -> list[MenuEffect]:
        """The choices, after a fixed sentence."""
        if self._paused:
            return []
        items = list(self._items.values())
        back = self._back if self.assistant else ""
        choices = menu_words.choices(items, human=self.human, assistant_key=back)
        self._speak(now_ms, choices)
        effects: list[MenuEffect] = [SayPrompt(lead)] if lead else []
        if choices:
            effects.append(SayText(choices, otherwise="human" if self.human else None))
        elif lead != "nobody":
            effects.append(SayPrompt("nobody"))
        return effects

    def _speak(self, now_ms: int, text: str, *, answering: bool = False) -> None:
        self._speaks_until_ms = now_ms + SPEECH_MS + CHAR_MS * len(text)
        self._answered_ms = None
        self._answering = answering
        self._hold(now_ms)

    def _stop(self, now_ms: int) -> list[MenuEffect]:
        if self._speaks_until_ms is None:
            return []
        self._speaks_until_ms = None
        self._hold(now_ms)
        return [StopSpeech()]

    def _wait(self, now_ms: int) -> None:
        self._waiting_ms = now_ms
        self._hold(now_ms)

    def _hold(self, now_ms: int) -> None:
        waits = self._speaks_until_ms is not None or self._running is not None or self._trying
        self._quiet.held(waits, now_ms)
