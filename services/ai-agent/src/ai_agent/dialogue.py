"""The conversation of a call over all its sessions (shell): opens them, renews them, and restores
each from the log when the one before was lost.

The stage of a call that talks; made by the call runner. One session talks at a time.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from ai_agent import metrics, retelling
from ai_agent.held_call import HeldCall
from ai_agent.money import Money
from ai_agent.playheads import Playheads
from ai_agent.realtime.connection import SessionFailed
from ai_agent.restore import Restored, restore
from ai_agent.ring_replay import RING_MS
from ai_agent.session import FIRST_TRIES, TRIES, Ended, Session, opened, reopened
from ai_agent.talk import NO_SESSION, Talk
from ai_agent.tool_calls import ToolCalls
from protocol import commands, line
from protocol.call import CallState
from protocol.events import ModeChanged, SessionLost, SessionOpened
from runtime import clock, logging

_log = logging.get("dialogue")

LOSSES = 5
LOSSES_MS = 30_000
"""So many sessions lost within this time: the model is of no use to this call."""
POLL_S = 0.05
AGAIN_S = 5.0
KEYS_KEPT = 32

ReadState = Callable[[], Awaitable[CallState]]


class Dialogue:
    """``read`` gives the state of the call from its log, all that was written in it.
    ``session``: one that was opened ahead.
    """

    def __init__(
        self,
        held: HeldCall,
        tools: ToolCalls,
        money: Money,
        read: ReadState,
        session: Session | None = None,
    ) -> None:
        self._held = held
        self._tools = tools
        self._money = money
        self._read = read
        self._next = session
        self._playheads = Playheads(held.request.items)
        self._talk: Talk | None = None
        self._keys: deque[line.Dtmf] = deque(maxlen=KEYS_KEPT)
        self._lost_ms: deque[int] = deque(maxlen=LOSSES)
        self._talked_before = False

    async def run(self, *, back: bool) -> str:
        """Talk until no session can do so, and say why. ``back``: the caller asked for it.

        Raises SessionFailed when none could be opened; StaleWriter is the outbox's.
        """
        in_words = False
        try:
            while True:
                ended = await self._one(back=back, in_words=in_words)
                if ended.kind == "given_up":
                    return ended.reason
                if self._held.ended:  # the line is about to close: nothing is left to be said
                    await self._held.watch.over.wait()
                    return ended.reason
                back, in_words = False, in_words or ended.in_words
                if ended.kind == "lost" and self._hopeless():
                    return "sessions are lost again and again"
        finally:
            if self._next is not None:
                await self._next.close()

    # -- the line

    def quiet(self) -> bool:
        return self._talk is not None and self._talk.quiet()

    async def on_key(self, key: line.Dtmf) -> None:
        if self._talk is None or not self._talk.begun:
            self._keys.append(key)
        else:
            await self._talk.on_key(key)

    async def on_heard(self, heard: line.Heard) -> None:
        self._playheads.heard(heard)
        if self._talk is not None:
            await self._talk.on_heard(heard)

    async def on_cleared(self, cleared: line.Cleared) -> None:
        self._playheads.cleared(cleared)
        if self._talk is not None:
            await self._talk.on_cleared(cleared)

    async def on_line_moved(self, ledger: tuple[line.Playhead, ...]) -> None:
        if self._talk is not None:
            await self._talk.on_line_moved(ledger)
        self._playheads.lost()

    async def update(self, wanted: commands.UpdateSession) -> commands.Reply:
        """Give the open session other instructions or tools. Raises StaleWriter."""
        return NO_SESSION if self._talk is None else await self._talk.update(wanted)

    # -- sessions

    async def _one(self, *, back: bool, in_words: bool) -> Ended:
        """One session, from the state of the call to its end."""
        held = self._held
        session, self._next = self._next, None
        so_far = ""
        if in_words:
            so_far = retelling.words((await self._restored(back=back))[1].told)
        if session is None or in_words:
            if session is not None:
                await session.close()
            begins = not (held.request.previous_epoch or self._talked_before)
            session = await reopened(held, so_far, tries=FIRST_TRIES if begins else TRIES)
        try:
            state, found = await self._restored(back=back)
            generation = (state.session.generation if state.session is not None else 0) + 1
            if state.mode != "conversation":
                fields = {"mode": "conversation", "reason": "session ready"}
                held.record(ModeChanged, fields)
            held.record(SessionOpened, held.brief.opened(session.model.session.id, generation))
            talk = Talk(held, self._tools, self._money, self._playheads, found, in_words=in_words)
            if not self._talked_before:
                self._talked_before = True
                waited_ms = clock.monotonic_ms() - held.began_ms
                metrics.SETUP_SECONDS.observe(waited_ms / 1000)
            with metrics.SESSIONS.track_inprogress():
                ended = await self._talked(talk, session, back=back)
        finally:
            self._talk = None
            await session.close()
        if ended.kind != "given_up":
            metrics.SESSION_FAILED.inc(ended.kind == "lost")
            _log.info("session over", call_id=held.id, kind=ended.kind)
            held.record(SessionLost, {"generation": generation, "reason": ended.reason})
        return ended

    async def _talked(self, talk: Talk, session: Session, *, back: bool) -> Ended:
        renewing = self._held.tasks.isolate(self._renew(talk, session), "renew")
        self._talk = talk
        try:
            return await talk.run(session.model, self._keys, back=back)
        finally:
            renewing.cancel()

    async def _restored(self, *, back: bool) -> tuple[CallState, Restored]:
        state = await self._read()
        held = self._held
        ring_from_ms = max(held.request.ring_from_ms, held.audio.now_line_ms - RING_MS)
        ledger = self._playheads.ledger()
        return state, restore(state, ledger, ring_from_ms=ring_from_ms, back=back)

    async def _renew(self, talk: Talk, session: Session) -> None:
        """Before a session ends by itself another takes its place, in a pause of the talk."""
        await asyncio.sleep(max(0, session.renew_ms - clock.monotonic_ms()) / 1000)
        while self._next is None:
            with contextlib.suppress(SessionFailed):
                self._next = await opened(self._held)
                break
            await asyncio.sleep(AGAIN_S)
        for _ in iter(talk.quiet, True):
            await asyncio.sleep(POLL_S)
        talk.end(Ended("renewed", "renewed"))

    def _hopeless(self) -> bool:
        self._lost_ms.append(clock.monotonic_ms())
        first_ms = self._lost_ms[0]
        return len(self._lost_ms) == LOSSES and self._lost_ms[-1] - first_ms < LOSSES_MS
