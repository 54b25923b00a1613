"""One call on this worker (shell): performs what the conversation decides, between the bus and
the Realtime session.

Made when the call was taken; ``listen`` before ingress is told, then ``run`` until the call ends
or another worker holds it. Owns every task, subscription and socket of the call.
"""

import asyncio
import contextlib
from typing import Any

from ai_agent import call_brief, metrics
from ai_agent.call_brief import Brief
from ai_agent.call_line import CallLine
from ai_agent.caller_audio import CallerAudio
from ai_agent.conversation import Conversation
from ai_agent.effects import (
    CallTool,
    ClearPlayback,
    Effect,
    GiveUp,
    Play,
    PlayDone,
    Record,
    Show,
    Tell,
)
from ai_agent.realtime.connection import RealtimeConnection, SessionFailed, connected
from ai_agent.toolbox import NOT_ASKED, ToolResult
from ai_agent.watch import Watch
from ai_agent.worker import Worker
from protocol import codec, line, subjects
from protocol.events import (
    AgentEvent,
    AnyEvent,
    ModeChanged,
    ResponseTimed,
    SessionLost,
    SessionOpened,
    ToolCalled,
    ToolReturned,
)
from protocol.ids import Epoch, new_event_id
from protocol.placement import AssignCall, Replay, ReplayRequest
from runtime import clock, logging
from runtime.errors import NatsAway, NoAnswer, Refused, StaleWriter
from runtime.outbox import Outbox, writing
from runtime.tasks import Tasks

_log = logging.get("call")

TRIES = 3
RETRY_S = 0.3


class CallRunner:
    """The call ``request.call`` held under ``epoch``."""

    def __init__(self, worker: Worker, request: AssignCall, epoch: Epoch) -> None:
        self._worker = worker
        self._request = request
        self._call = request.call
        self._epoch = epoch
        self._line = CallLine(worker.bus, request.call, epoch)
        self._audio = CallerAudio(batch_ms=worker.settings.audio_batch_ms)
        self._watch = Watch(worker.bus, request.call, request.leg, epoch)
        self._outbox = Outbox(worker.bus, request.call)
        self._conversation: Conversation | None = None
        self._model: RealtimeConnection | None = None
        self._brief: Brief | None = None
        self._tasks = Tasks("call")

    async def listen(self) -> None:
        """Hear the line and the end of the call from here on."""
        await self._watch.listen(subjects.line_in(self._call, self._request.leg), self._on_line)

    async def run(self) -> None:
        """Hold the call until it ends; leaves nothing behind."""
        began = clock.monotonic_ms()
        try:
            async with (
                self._tasks as tasks,
                writing(self._worker.bus, self._call, tasks) as self._outbox,
            ):
                self._outbox.fence(self._epoch)
                tasks.spawn(self._watch.run(self._outbox.stale), "watch")
                tasks.isolate(self._talk(began), "talk")
                await self._watch.over.wait()
        finally:
            await self._watch.stop()
            _log.info("call left", call_id=self._call, epoch=self._epoch, why=self._watch.why)

    def leave(self, why: str) -> None:
        """Let go of the call."""
        self._watch.leave(why)

    # -- the session

    async def _talk(self, began: int) -> None:
        """Prepare, then hold a session; without one end the call honestly."""
        try:
            self._brief = brief = await call_brief.prepare(self._worker, self._call, self._epoch)
            for left in reversed(range(TRIES)):
                try:
                    return await self._session(brief, began)
                except SessionFailed as error:
                    metrics.SESSION_FAILED.inc()
                    _log.warning("no session", call_id=self._call, reason=error.reason)
                    if error.permanent or left == 0:
                        return await self._give_up(error.reason, "failed")
                    await asyncio.sleep(RETRY_S)
        except StaleWriter:
            self.leave("stale")
        except Exception:
            # Silence on the line is worse than an apology: end the call, then let the error be
            # seen.
            await self._give_up("internal error", "failed")
            raise

    async def _session(self, brief: Brief, began: int) -> None:
        worker = self._worker
        async with connected(
            worker.client,
            model=brief.model,
            safety_id=brief.safety_id,
            tasks=self._tasks,
            timeout=worker.settings.openai_connect_s,
        ) as model:
            await model.configure(brief.session_update(), timeout=worker.settings.openai_connect_s)
            metrics.SETUP_SECONDS.observe((clock.monotonic_ms() - began) / 1000)
            with metrics.SESSIONS.track_inprogress():
                await self._converse(model, brief)
        metrics.SESSION_FAILED.inc()
        self._record(SessionLost, {"generation": 1, "reason": "the socket ended"})
        await self._give_up("session lost", "failed")

    async def _converse(self, model: RealtimeConnection, brief: Brief) -> None:
        conversation = Conversation(
            model=brief.model,
            transcription_model=brief.transcription_model,
            silence_ms=brief.assistant.turn_detection.silence_duration_ms,
        )
        self._record(ModeChanged, {"mode": "conversation", "reason": "session ready"})
        self._record(SessionOpened, brief.opened(model.session.id))
        self._model, self._conversation = model, conversation
        if brief.greet:
            await self._perform(conversation.greet(brief.assistant.greeting.strip()))
        earlier = await self._earlier()
        self._audio.open(model.append_audio, conversation.clock, earlier)
        try:
            async for event in model.events():
                effects = conversation.on_event(event, clock.monotonic_ms())
                if effects:
                    await self._perform(effects)
        finally:
            self._audio.close()
            self._model = self._conversation = None

    async def _earlier(self) -> list[tuple[int, bytes]]:
        """What the caller said before this worker heard the line, from ingress's ring; nothing if
        it cannot say.
        """
        first, request = self._audio.first_line_ms, self._request
        if first is None or first <= request.ring_from_ms:
            return []
        wanted = ReplayRequest(self._call, request.leg, request.ring_from_ms, first)
        try:
            replay: Replay = await self._worker.bus.request(
                subjects.ingress_replay(request.ingress), wanted, Replay, timeout=1
            )
        except (NoAnswer, NatsAway, Refused):
            _log.warning("no replay", call_id=self._call)
            return []
        for key in replay.keys:
            await self._on_key(line.Dtmf(key.digit, key.line_ms))
        return [(piece.line_ms, piece.audio) for piece in replay.audio]

    # -- the line

    async def _on_line(self, kind: str, data: bytes) -> None:
        if kind == "audio":
            return self._audio.live(data)
        conversation = self._conversation
        if kind == "clock":
            self._audio.at(codec.decode(line.Clock, data).line_ms)
        elif kind == "dtmf":
            await self._on_key(codec.decode(line.Dtmf, data))
        elif conversation is None:
            return None
        elif kind == "heard":
            await self._perform(conversation.on_heard(codec.decode(line.Heard, data)))
        elif kind == "cleared":
            await self._perform(conversation.on_cleared(codec.decode(line.Cleared, data)))
        return None

    async def _on_key(self, key: line.Dtmf) -> None:
        if self._conversation is not None:
            await self._perform(self._conversation.on_key(key))

    # -- effects

    async def _perform(self, effects: list[Effect]) -> None:
        model = self._model
        for effect in effects:
            match effect:
                case Play():
                    await self._line.play(effect.item_id, effect.audio)
                case Tell():
                    if model is not None:
                        model.tell(effect.command)
                case Show():
                    await self._worker.bus.publish(
                        subjects.live_transcript(self._call),
                        line.LiveTranscript(effect.item_id, effect.party, effect.text),
                    )
                case Record():
                    self._record(effect.kind, effect.fields)
                case PlayDone():
                    await self._line.done(effect.item_id)
                case ClearPlayback():
                    await self._line.clear(effect.n)
                case CallTool():
                    self._tasks.isolate(self._tool(effect), "tool")
                case GiveUp():
                    await self._give_up(effect.reason, effect.intent)

    async def _tool(self, wanted: CallTool) -> None:
        """Write ahead, ask, write the result, tell the model. A stale worker never gets to ask."""
        brief = self._brief
        assert brief is not None, "a tool is called only in a session"
        deadline_ms = brief.assistant.tool_deadline_ms
        called = self._event(
            ToolCalled,
            {
                "tool_call_id": wanted.tool_call_id,
                "item_id": wanted.item_id,
                "name": wanted.name,
                "arguments": wanted.arguments,
            },
        )
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await asyncio.shield(self._outbox.append(called))
        except StaleWriter:
            return self.leave("stale")
        except (TimeoutError, NatsAway):
            result = ToolResult("unavailable", NOT_ASKED, deadline_ms)
        else:
            result = await self._worker.toolbox.call(
                wanted.name,
                wanted.arguments,
                call=self._call,
                caller=brief.caller.caller_id if brief.caller else None,
                key=called.id,
                deadline_ms=deadline_ms,
            )
        self._record(
            ToolReturned,
            {
                "tool_call_id": wanted.tool_call_id,
                "called": called.id,
                "outcome": result.outcome,
                "result": result.output,
                "took_ms": result.took_ms,
            },
        )
        if self._conversation is not None:
            told = self._conversation.on_tool_output(wanted.tool_call_id, result.output)
            await self._perform(told)
        return None

    async def _give_up(self, reason: str, intent: line.Intent) -> None:
        metrics.GIVEN_UP.inc()
        _log.error("call given up", call_id=self._call, reason=reason)
        with contextlib.suppress(NatsAway):
            await self._line.end(intent)

    def _record(self, kind: type[AgentEvent], fields: dict[str, Any]) -> None:
        if kind is ResponseTimed:
            metrics.RESPONSE_SECONDS.observe(fields["response_ms"] / 1000)
        self._outbox.append(self._event(kind, fields))

    def _event(self, kind: type[AgentEvent], fields: dict[str, Any]) -> AnyEvent:
        event: Any = kind(
            id=new_event_id(),
            call_id=self._call,
            at=clock.utc_now(),
            service="ai-agent",
            worker=self._worker.name,
            epoch=self._epoch,
            **fields,
        )
        return event
