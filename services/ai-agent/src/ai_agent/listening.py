"""The caller's side of a held call: hears the newest line, hands everything on to the audio and
the stage, and fetches what was missed when the line moved or NATS was away.
"""

import asyncio
from collections import deque

import msgspec

from ai_agent.caller_audio import since
from ai_agent.held_call import HeldCall
from ai_agent.ring_replay import between
from protocol import codec, line, subjects
from protocol.events import Heard, StreamStopped
from protocol.ids import Leg
from protocol.line import Playhead
from protocol.placement import AttachCall
from runtime import logging
from runtime.calllog import CallLog
from runtime.errors import NatsAway
from runtime.subscribed import Message, Subscribed

_log = logging.get("listening")

GAP_MS = 20
KEYS_KEPT = 64
LEDGER_S = 1.0
"""How long the log may take to say what the caller heard on the line before."""


class Listening:
    """Hears one call. Its tasks are the call's; ``stop`` ends its subscription."""

    def __init__(self, held: HeldCall) -> None:
        self._held = held
        self._subscribed: Subscribed | None = None
        self._clocked = asyncio.Event()
        self._clocked_ms: int | None = None
        self._missed_from_ms: int | None = None
        self._catching: asyncio.Task[None] | None = None
        self._keys: deque[tuple[str, int]] = deque(maxlen=KEYS_KEPT)
        self._early: deque[line.Dtmf] = deque(maxlen=KEYS_KEPT)
        self._forget = held.worker.bus.on_reconnect(self._reconnected)

    async def start(self) -> None:
        """Hear the line from here on."""
        held = self._held
        await held.watch.listen()
        self._subscribed = await self._subscribe(held.request.leg)

    async def follow(self, moved: AttachCall) -> None:
        """Hear the call's new line instead. Older lines and the one that is heard change nothing;
        but where the line is its own predecessor, its ingress was cut off from NATS for a while,
        and what was said to it is lost.
        """
        held = self._held
        before = held.request.leg
        if moved.leg == before == moved.previous_leg:
            held.line.lose()
            if not held.line.muted:
                held.tasks.isolate(self.regained(), "regained")
        if moved.leg <= before:
            return
        old = self._subscribed
        held.request = msgspec.structs.replace(
            held.request, leg=moved.leg, ingress=moved.ingress, ring_from_ms=moved.ring_from_ms
        )
        held.watch.moved(moved.leg)
        held.line.lose()
        if self._catching is not None:
            held.audio.resume(())  # the line before has nothing more to tell
        self._catch_up(moved.ring_from_ms)
        # The new line is heard before the old one is let go: at no time is there none.
        self._subscribed = await self._subscribe(moved.leg)
        await held.line.tell_ear()
        if old is not None:
            await old.stop()
        _log.info("line moved", call_id=held.id, leg=moved.leg, previous_leg=before)
        held.tasks.isolate(self._tell_moved(before), "line moved")

    async def regained(self) -> None:
        """The stage learns of it if something for the caller was lost."""
        await self._held.line.tell_ear()
        if self._held.line.regained():
            await self._lost(())

    def early_keys(self, from_ms: int) -> list[line.Dtmf]:
        """Keys that were pressed at ``from_ms`` or later, before there was a stage; once."""
        found = [key for key in self._early if key.line_ms >= from_ms]
        self._early.clear()
        return found

    def put_back(self, keys: list[line.Dtmf]) -> None:
        """Keys that a stage got and that are for the next one."""
        self._early.extend(keys)

    async def stop(self) -> None:
        """Hear nothing any more."""
        self._forget()
        if self._subscribed is not None:
            await self._subscribed.stop()

    # -- the line

    async def _subscribe(self, leg: Leg) -> Subscribed:
        held = self._held

        def audio(message: Message) -> bool:
            """Nearly all of it is audio, and nothing of that waits."""
            if not message.subject.endswith(".audio"):
                return False
            if held.request.leg == leg:
                held.audio.live(message.data)
                held.watch.handled()
            return True

        async def heard(message: Message) -> None:
            if not audio(message) and held.request.leg == leg:
                await self._on_line(message.subject.rpartition(".")[2], message.data)
                held.watch.handled()

        subject = subjects.line_in(held.id, leg)
        return await held.worker.bus.subscribe(subject, heard, quick=audio)

    async def _on_line(self, kind: str, data: bytes) -> None:
        held = self._held
        stage = held.stage
        if kind == "clock":
            line_ms = codec.decode(line.Clock, data).line_ms
            if self._gap_before(line_ms):
                self._catch_up(held.audio.now_line_ms)
            held.audio.at(line_ms)
            if not self._clocked.is_set():
                self._clocked_ms = line_ms
                self._clocked.set()
            if held.line.lost and not held.line.muted and held.worker.bus.connected:
                held.tasks.isolate(self.regained(), "regained")
        elif kind == "dtmf":
            await self._key(codec.decode(line.Dtmf, data))
        elif stage is None:
            return None
        elif kind == "heard":
            await stage.on_heard(codec.decode(line.Heard, data))
        elif kind == "cleared":
            cleared = codec.decode(line.Cleared, data)
            held.line.cleared(cleared.n)
            await stage.on_cleared(cleared)
        return None

    async def _key(self, key: line.Dtmf) -> None:
        if self._held.stage is None:
            self._early.append(key)
        else:
            self._keys.append((key.digit, key.line_ms))
            await self._held.stage.on_key(key)

    # -- what was missed

    def _reconnected(self) -> None:
        """NATS was away: what came in the meantime is in the ring, if the line still stands."""
        held = self._held
        if held.audio.first_line_ms is not None and not held.watch.over.is_set():
            from_ms = self._missed_from_ms
            self._catch_up(held.audio.now_line_ms if from_ms is None else from_ms)
        if not held.line.muted:
            held.tasks.isolate(self.regained(), "regained")

    def _gap_before(self, line_ms: int) -> bool:
        """Frames were missed on a line that stands: NATS took them and gave them to nobody."""
        audio = self._held.audio
        return (
            self._catching is None
            and audio.first_line_ms is not None
            and line_ms - audio.now_line_ms > GAP_MS
        )

    def _catch_up(self, from_ms: int) -> None:
        """Hold the caller's audio back until that from ``from_ms`` up to the next clock is
        fetched.
        """
        self._missed_from_ms = from_ms
        self._clocked_ms = None
        self._clocked.clear()
        self._held.audio.interrupt()
        if self._catching is not None:
            self._catching.cancel()
        self._catching = self._held.tasks.isolate(self._missed(from_ms), "catch up")

    async def _missed(self, from_ms: int) -> None:
        held = self._held
        await self._clocked.wait()
        to_ms = self._clocked_ms
        assert to_ms is not None, "a clock told"
        replay = await between(held, from_ms, to_ms)
        pieces = [(piece.line_ms, piece.audio) for piece in replay.audio]
        self._missed_from_ms = self._catching = None
        # The gate may have been passed meanwhile: what was said there is for no model.
        held.audio.resume(since(pieces, held.passed_line_ms))
        for key in replay.keys:
            if (key.digit, key.line_ms) not in self._keys:
                await self._key(line.Dtmf(key.digit, key.line_ms))

    async def _tell_moved(self, before: Leg) -> None:
        ledger = await self._ledger(before)
        self._held.line.regained()
        await self._lost(ledger)

    async def _lost(self, ledger: tuple[Playhead, ...]) -> None:
        """What was under way to the caller is gone."""
        held = self._held
        voice = held.floor.on_line_moved()
        if voice is not None:
            await held.line.done(voice)
        if held.stage is not None:
            await held.stage.on_line_moved(ledger)

    async def _ledger(self, leg: Leg) -> tuple[Playhead, ...]:
        """How far the caller heard what was said on ``leg``, if its ingress had last words."""
        held = self._held
        try:
            entries = await CallLog(held.worker.bus).read(held.id, timeout=LEDGER_S)
        except NatsAway:
            return ()
        events = [entry.event for entry in entries]
        if not any(isinstance(e, StreamStopped) and e.leg == leg for e in events):
            return ()
        return tuple(
            Playhead(e.item_id, e.heard_ms, done=not e.cut, sent_ms=e.sent_ms)
            for e in events
            if isinstance(e, Heard) and e.leg == leg
        )
