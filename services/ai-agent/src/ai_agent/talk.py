"""The conversation of a call (shell): holds one Realtime session and performs what its cores
decide.

Made by the call runner for every session; ``run`` returns when the session can go on no longer.
"""

import asyncio
from collections.abc import Sequence

from ai_agent import metrics
from ai_agent.call_history import history
from ai_agent.conversation import Conversation
from ai_agent.effects import (
    CallTool,
    ClearPlayback,
    Close,
    Effect,
    GiveUp,
    Play,
    PlayDone,
    Record,
    Show,
    Tell,
)
from ai_agent.held_call import HeldCall
from ai_agent.keys import Keys, TellModel
from ai_agent.money import Money
from ai_agent.pacing import Pacing
from ai_agent.realtime.connection import RealtimeConnection, SessionFailed, connected
from ai_agent.ring_replay import replay
from ai_agent.session_updates import SessionUpdates
from ai_agent.talk_log import TalkLog
from ai_agent.todo_news import TodoNews
from ai_agent.tool_calls import ToolCalls
from ai_agent.watchers import output_watch, todos_watched
from protocol import commands, line, subjects
from protocol.call import CallState
from protocol.events import LimitReached, ModeChanged, Said, SessionLost, SessionOpened
from protocol.ids import ItemId
from runtime import clock, errors, logging

_log = logging.get("talk")

TRIES = 3
RETRY_S = 0.3
TICK_S = 0.25
BUDGET = "budget"
"""Why a talk ends whose money is spent."""
NO_SESSION = commands.Refused("no_session", "no session with the model is open in this call now")
BACK = "Say in one short sentence that the caller can speak with you again."


class Talk:
    """One Realtime session of a call."""

    def __init__(self, held: HeldCall, tools: ToolCalls, state: CallState, money: Money) -> None:
        self._held = held
        self._tools = tools
        self._state = state
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
        self._news = TodoNews()
        now = clock.monotonic_ms()
        self._pacing = Pacing(assistant, self._conversation, now, now - held.began_ms)
        self._updates: SessionUpdates | None = None
        self._model: RealtimeConnection | None = None
        self._given_up = asyncio.Event()
        self._why = ""

    async def run(self, *, back: bool) -> str:
        """Open a session, talk, and say why that ended. ``back``: the caller asked for it.

        Raises SessionFailed when no session could be opened; StaleWriter is the outbox's.
        """
        for left in reversed(range(TRIES)):
            try:
                return await self._session(back=back)
            except SessionFailed as error:
                metrics.SESSION_FAILED.inc()
                _log.warning("no session", call_id=self._held.id, reason=error.reason)
                if error.permanent or left == 0:
                    raise
                await asyncio.sleep(RETRY_S)
        raise AssertionError("the last try returns or raises")

    # -- the line

    async def on_key(self, key: line.Dtmf) -> None:
        now = clock.monotonic_ms()
        self._pacing.stirred(now)
        await self._typed(self._keys.on_key(key, now), key.line_ms)

    async def on_heard(self, heard: line.Heard) -> None:
        await self._perform(self._conversation.on_heard(heard))

    async def on_cleared(self, cleared: line.Cleared) -> None:
        await self._perform(self._conversation.on_cleared(cleared))

    # -- commands

    async def update(self, wanted: commands.UpdateSession) -> commands.Reply:
        """Give the open session other instructions or tools. Raises StaleWriter."""
        if self._updates is None:
            return NO_SESSION
        return await self._updates.run(wanted)

    # -- the session

    async def _session(self, *, back: bool) -> str:
        held, brief = self._held, self._held.brief
        timeout = held.worker.settings.openai_connect_s
        async with connected(
            held.worker.client,
            model=brief.model,
            safety_id=brief.safety_id,
            tasks=held.tasks,
            timeout=timeout,
        ) as model:
            await model.configure(brief.session_update(), timeout=timeout)
            metrics.SETUP_SECONDS.observe((clock.monotonic_ms() - held.began_ms) / 1000)
            with metrics.SESSIONS.track_inprogress():
                async with todos_watched(held, self._news):
                    await self._converse(model, back=back)
        if self._given_up.is_set():
            return self._why
        metrics.SESSION_FAILED.inc()
        held.record(SessionLost, {"generation": 1, "reason": "the socket ended"})
        return "session lost"

    async def _converse(self, model: RealtimeConnection, *, back: bool) -> None:
        held, conversation, brief = self._held, self._conversation, self._held.brief
        held.record(ModeChanged, {"mode": "conversation", "reason": "session ready"})
        held.record(SessionOpened, brief.opened(model.session.id))
        self._model = model
        updates = self._updates = SessionUpdates(held, model, self._give_up)
        for command in history(self._state):
            model.tell(command)
        if back:
            await self._perform(conversation.ask(BACK))
        elif brief.greet:
            await self._perform(conversation.ask(brief.assistant.greeting.strip()))
        earlier = await self._earlier()
        held.audio.open(model.append_audio, conversation.clock, earlier)
        ticking = held.tasks.isolate(self._ticking(), "tick")
        ending = held.tasks.isolate(self._until_given_up(model), "given up")
        try:
            async for event in model.events():
                updates.on_event(event)
                effects = conversation.on_event(event, clock.monotonic_ms())
                if effects:
                    await self._perform(effects)
                if self._given_up.is_set():
                    return
        finally:
            ticking.cancel()
            ending.cancel()
            held.audio.close()
            updates.end()
            self._model = self._updates = None

    async def _until_given_up(self, model: RealtimeConnection) -> None:
        await self._given_up.wait()
        await model.close()

    async def _earlier(self) -> list[tuple[int, bytes]]:
        """What the caller said before this worker heard the line."""
        found = await replay(self._held, self._state)
        for key in found.keys:
            await self.on_key(line.Dtmf(key.digit, key.line_ms))
        return [(piece.line_ms, piece.audio) for piece in found.audio]

    # -- time

    async def _ticking(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = clock.monotonic_ms()
            await self._perform(self._pacing.on_tick(now))
            await self._typed(self._keys.on_tick(now), 0)
            if news := self._news.take():
                await self._perform(self._conversation.note(news))

    # -- effects

    async def _typed(self, effects: Sequence[TellModel | Record], line_ms: int) -> None:
        for effect in effects:
            match effect:
                case TellModel():
                    await self._perform(self._conversation.tell(effect.text, line_ms))
                case Record():
                    self._log.record(effect.kind, effect.fields)

    async def _perform(self, effects: list[Effect]) -> None:
        held, model = self._held, self._model
        for effect in effects:
            match effect:
                case Play():
                    await held.line.play(effect.item_id, effect.audio)
                case Tell():
                    if model is not None:
                        model.tell(effect.command)
                case Show():
                    if self._output is not None and effect.party == "assistant":
                        await self._output.words(effect.item_id, effect.text)
                    await held.worker.bus.publish(
                        subjects.live_transcript(held.id),
                        line.LiveTranscript(effect.item_id, effect.party, effect.text),
                    )
                case Record():
                    self._log.record(effect.kind, effect.fields)
                    if self._output is not None and effect.kind is Said and effect.fields["done"]:
                        said = effect.fields
                        await self._output.words(said["item_id"], said["text"], done=True)
                case PlayDone():
                    await held.line.done(effect.item_id)
                case ClearPlayback():
                    await held.line.clear(effect.n)
                case CallTool():
                    held.tasks.isolate(self._tool(effect), "tool")
                case Close():
                    await held.end(effect.intent)
                case GiveUp():
                    self._give_up(effect.reason)

    async def _stop(self, item_id: ItemId, rule: str) -> None:
        """The output check hit; it may come when this talk is over."""
        if self._model is not None:
            instead = self._held.brief.assistant.output_check.instead
            await self._perform(self._conversation.stop(item_id, rule, instead))

    async def _tool(self, wanted: CallTool) -> None:
        """A tool call from beginning to end, beside the talk. A stale worker never gets to ask."""
        filler_ms = self._held.brief.assistant.limits.filler_ms
        tasks = self._held.tasks
        patience = tasks.isolate(self._filler(filler_ms), "filler") if filler_ms else None
        self._news.own_began()
        try:
            done = await self._tools.run(wanted, self._held.brief)
        except errors.StaleWriter:
            return self._held.watch.leave("stale")
        finally:
            self._news.own_ended(clock.monotonic_ms())
            if patience is not None:
                patience.cancel()
        await self._perform(
            self._conversation.on_tool_output(wanted.tool_call_id, done.output, done.closing)
        )
        return None

    async def _filler(self, after_ms: int) -> None:
        await asyncio.sleep(after_ms / 1000)
        await self._perform(self._conversation.on_tool_slow())

    def _spent_out(self, limit: str) -> None:
        if not self._given_up.is_set():
            self._held.record(LimitReached, {"limit": limit})
            self._give_up(BUDGET)

    def _give_up(self, why: str) -> None:
        if not self._given_up.is_set():
            self._why = why
            self._given_up.set()
