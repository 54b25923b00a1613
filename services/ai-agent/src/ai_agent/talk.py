"""One Realtime session of a call while it talks (shell): performs what its cores decide.

Made by the dialogue for every session; ``run`` returns when this one can go on no longer.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from ai_agent.conversation import Conversation
from ai_agent.dictation import Dictation
from ai_agent.effects import (
    CallTool,
    ClearPlayback,
    Close,
    Effect,
    GiveUp,
    Play,
    PlayDone,
    Record,
    Reopen,
    Show,
    Tell,
)
from ai_agent.held_call import HeldCall
from ai_agent.keys import Keys, TellModel
from ai_agent.money import Money
from ai_agent.pacing import Pacing
from ai_agent.patience import Patience
from ai_agent.playheads import Playheads
from ai_agent.realtime import events as rt
from ai_agent.realtime.commands import PROBE
from ai_agent.realtime.connection import RealtimeConnection
from ai_agent.restore import Restored
from ai_agent.ring_replay import restored
from ai_agent.screens import Screens
from ai_agent.session import Ended
from ai_agent.session_updates import SessionUpdates
from ai_agent.talk_log import TalkLog
from ai_agent.talk_orders import TalkOrders
from ai_agent.talk_tools import TalkTools
from ai_agent.todo_news import TodoNews
from ai_agent.tool_calls import ToolCalls
from ai_agent.watchers import output_watch, todos_watched
from protocol import line
from protocol.events import LimitReached, Said
from protocol.ids import ItemId
from runtime import clock

TICK_S = 0.25
BUDGET = "budget"
"""Why a talk ends whose money is spent."""
BACK = "Say in one short sentence that the caller can speak with you again."


class Talk:
    """``found``: where the call stands. ``in_words``: the model was told so before."""

    def __init__(
        self,
        held: HeldCall,
        tools: ToolCalls,
        money: Money,
        playheads: Playheads,
        found: Restored,
        dictation: Dictation,
        *,
        in_words: bool,
    ) -> None:
        self._held = held
        self._tools = tools
        self._found = found
        self._in_words = in_words
        self._playheads = playheads
        self._log = TalkLog(held, money, self._spent_out)
        assistant = held.brief.assistant
        self._conversation = Conversation(
            model=held.brief.model,
            transcription_model=held.brief.transcription_model,
            silence_ms=assistant.turn_detection.silence_duration_ms,
            clears=held.line.clears,
        )
        self._keys = Keys(assistant.menu, human=bool(assistant.transfer.number))
        self._output = output_watch(held, self._stop)
        self._screens = Screens(held.worker.bus, held.id)
        self._news = TodoNews()
        self._own_tools = TalkTools(held, tools, self._conversation, self._news, self._perform)
        self.orders = TalkOrders(held, self._conversation, dictation, self._perform)
        self._patience = Patience()
        self._pacing = Pacing(
            assistant, self._conversation, clock.monotonic_ms(), held.audio.now_line_ms
        )
        self._model: RealtimeConnection | None = None
        self._ended: Ended | None = None
        self._over = asyncio.Event()

    @property
    def begun(self) -> bool:
        """The session hears of what the caller does."""
        return self._model is not None

    async def run(self, model: RealtimeConnection, keys: deque[line.Dtmf], *, back: bool) -> Ended:
        """Talk over a configured session until it is of no use. ``keys``: pressed while there was
        none. ``back``: the caller asked for it.
        """
        held = self._held
        async with todos_watched(held, self._news):
            beside = [held.tasks.isolate(self._until_over(model), "over")]
            try:
                await self._begin(model, keys, back=back)
                beside.append(held.tasks.isolate(self._hear(model), "hear"))
                beside.append(held.tasks.isolate(self._ticking(), "tick"))
                await self._converse(model)
            finally:
                for task in beside:
                    task.cancel()
                held.audio.close()
                self.orders.end()
                await self._perform(self._conversation.end(clock.monotonic_ms()))
                await self._screens.end()
                self._model = None
        return self._ended or Ended("lost", model.ended)

    def end(self, why: Ended) -> None:
        """Let this session be over; the first reason counts."""
        if self._ended is None:
            self._ended = why
            self._over.set()

    # -- the line

    def quiet(self) -> bool:
        """The talk could go on in another session without anybody noticing."""
        open_now = self._model is not None and self._ended is None
        return open_now and not (self._keys.typing or self.orders.open) and self._conversation.quiet

    async def on_key(self, key: line.Dtmf) -> None:
        now = clock.monotonic_ms()
        self._pacing.stirred(now)
        await self._typed(self._keys.on_key(key, now), key.line_ms)

    async def on_heard(self, heard: line.Heard) -> None:
        await self._perform(self._conversation.on_heard(heard))

    async def on_cleared(self, cleared: line.Cleared) -> None:
        await self._perform(self._conversation.on_cleared(cleared))

    async def on_line_moved(self, ledger: tuple[line.Playhead, ...]) -> None:
        await self._perform(self._conversation.on_line_lost(ledger, clock.monotonic_ms()))

    # -- operators

    async def unmute(self) -> None:
        """It is the assistant's turn again; what was typed meanwhile was not for the model."""
        self._keys.forget()
        self._pacing.stirred(clock.monotonic_ms())
        await self.orders.unmute()

    # -- the session

    async def _begin(
        self, model: RealtimeConnection, keys: deque[line.Dtmf], *, back: bool
    ) -> None:
        """Tell the model where the call stands, and let it hear what it has to hear again."""
        held, found, now = self._held, self._found, clock.monotonic_ms()
        self._model = model
        self.orders.updates = SessionUpdates(held, model, self._give_up)
        self._tools.remember(found.done)
        if held.floor.muted:
            await self.orders.mute()
        effects = self._conversation.begin(
            found,
            self._playheads.ledger(),
            now,
            greeting=held.brief.assistant.greeting.strip(),
            in_words=self._in_words,
        )
        await self._perform(effects)
        if back:
            await self._perform(self._conversation.ask(BACK))
        for use in found.ask:
            self._own_tools.again(use)
        for key in found.keys:  # the log has them
            typed = self._keys.on_key(line.Dtmf(key.digit, key.line_ms), now)
            await self._typed([e for e in typed if isinstance(e, TellModel)], key.line_ms)
        while keys:
            await self._missed(keys.popleft())
        if found.operator and not held.floor.muted:
            await self.unmute()  # given back while this session was being opened

    async def _hear(self, model: RealtimeConnection) -> None:
        """The caller: from where nothing was made of what they said, then live."""
        found = self._found
        earlier = await restored(self._held, found.replay_from_ms)
        pieces = [(piece.line_ms, piece.audio) for piece in earlier.audio]

        def append(audio: bytes) -> None:
            self._patience.on_audio(audio)
            model.append_audio(audio)

        model.on_dropped = self._conversation.clock.dropped
        self._held.audio.open(append, self._conversation.clock, pieces)
        for key in earlier.keys:
            await self._missed(line.Dtmf(key.digit, key.line_ms))

    async def _missed(self, key: line.Dtmf) -> None:
        """A key that no session was told of, unless the log has it."""
        if key.line_ms > self._found.keys_until_ms:
            await self.on_key(key)

    async def _converse(self, model: RealtimeConnection) -> None:
        updates, conversation = self.orders.updates, self._conversation
        assert updates is not None, "the session has begun"
        async for event in model.events():
            self._patience.on_event()
            updates.on_event(event)
            if isinstance(event, rt.Committed):
                self._tools.new_turn()
            effects = conversation.on_event(event, clock.monotonic_ms())
            if effects:
                await self._perform(effects)
            self.orders.on_event(event)
            if self._ended is not None:
                return

    async def _until_over(self, model: RealtimeConnection) -> None:
        await self._over.wait()
        await model.close()

    # -- time

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = clock.monotonic_ms()
            due = self._pacing.on_tick(now)
            await self._perform(due)
            await self._typed(self._keys.on_tick(now), 0)
            if news := self._news.take():
                await self._perform(self._conversation.note(news))
            await self.orders.dictate()
            await self._screens.tick()
            asked = any(isinstance(effect, Tell) for effect in due)
            match self._patience.on_tick(now, waits=self._conversation.waits, asked=asked):
                case "probe":
                    await self._perform([Tell(PROBE)])
                case "lost":
                    self.end(Ended("lost", "the model fell silent"))
                case "":
                    pass

    # -- effects

    async def _typed(self, effects: Sequence[TellModel | Record], line_ms: int) -> None:
        for effect in effects:
            match effect:
                case TellModel() if self._held.floor.muted:
                    pass  # it was for the operator
                case TellModel():
                    self._tools.new_turn()
                    await self._perform(self._conversation.tell(effect.text, line_ms))
                case Record():
                    self._log.record(effect.kind, effect.fields)

    async def _perform(self, effects: list[Effect]) -> None:
        held, model = self._held, self._model
        if model is None:  # what comes late of this session is for nobody
            return
        for effect in effects:
            match effect:
                case Play():
                    self._playheads.sent(effect.item_id, len(effect.audio))
                    await held.line.play(effect.item_id, effect.audio)
                case Tell():
                    model.tell(effect.command)
                case Show():
                    await self._show(effect)
                case Record():
                    self._log.record(effect.kind, effect.fields)
                    await self._screens.written(effect)
                    if effect.kind is Said and effect.fields["done"]:
                        await self._said(effect.fields)
                case PlayDone():
                    self._playheads.complete(effect.item_id)
                    await held.line.done(effect.item_id)
                case ClearPlayback():
                    await held.line.clear(effect.n)
                case CallTool():
                    self._own_tools.call(effect)
                case Close():
                    await held.end(effect.intent)
                case GiveUp():
                    self._give_up(effect.reason)
                case Reopen():
                    self.end(Ended("lost", effect.reason, effect.in_words))

    async def _said(self, said: dict[str, Any]) -> None:
        self.orders.said(said["response_id"], said["text"])
        if self._output is not None:
            await self._output.words(said["item_id"], said["text"], done=True)

    async def _show(self, shown: Show) -> None:
        if self._output is not None and shown.party == "assistant":
            await self._output.words(shown.item_id, shown.text)
        await self._screens.show(shown)

    async def _stop(self, item_id: ItemId, rule: str) -> None:
        """The output check hit; it may come when this talk is over."""
        if self._model is not None:
            instead = self._held.brief.assistant.output_check.instead
            await self._perform(self._conversation.stop(item_id, rule, instead))

    def _spent_out(self, limit: str) -> None:
        if self._ended is None:
            self._held.record(LimitReached, {"limit": limit})
            self._give_up(BUDGET)

    def _give_up(self, why: str) -> None:
        self.end(Ended("given_up", why))
