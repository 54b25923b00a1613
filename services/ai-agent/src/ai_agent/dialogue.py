"""The conversation of a call over all its sessions (shell): opens them, renews them, and restores
each from the log when the one before was lost.

The stage of a call that talks; made by the call runner. One session talks at a time.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from ai_agent import metrics, retelling
from ai_agent.dictation import Dictation
from ai_agent.held_call import HeldCall
from ai_agent.money import Money
from ai_agent.playheads import Playheads
from ai_agent.realtime.connection import SessionFailed
from ai_agent.restore import Restored, restore
from ai_agent.ring_replay import RING_MS
from ai_agent.session import FIRST_TRIES, TRIES, Ended, Session, opened, reopened
from ai_agent.stage import DONE, ENDING
from ai_agent.talk import Talk
from ai_agent.talk_orders import NO_SESSION
from ai_agent.tool_calls import ToolCalls
from protocol import commands, line
from protocol.call import CallState
from protocol.commands import Refused, Reply
from protocol.events import Mode, ModeChanged, SessionLost, SessionOpened, Whispered
from runtime import clock, logging

_log = logging.get("dialogue")

LOSSES = 5
LOSSES_MS = 30_000
"""So many sessions lost within this time: the model is of no use to this call."""
POLL_S = 0.05
AGAIN_S = 5.0
KEYS_KEPT = 32
WRITE_S = 0.8
"""How long the log may take for a whisper before it is refused."""
NOT_WRITTEN = Refused("not_applied", "the log does not answer: the assistant was not told")
ASKED = "an operator asked for it"
"""Why a conversation gives way to the keypad."""

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
        self._dictation = Dictation()
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

    # -- commands

    async def update(self, wanted: commands.UpdateSession) -> Reply:
        """Give the open session other instructions or tools. Raises StaleWriter."""
        return NO_SESSION if self._talk is None else await self._talk.orders.update(wanted)

    async def whisper(self, by: str, text: str) -> Reply:
        """Tell the model something, once it is in the log. Raises StaleWriter."""
        talk = self._open
        if talk is None:
            return NO_SESSION
        if await self._held.written(Whispered, {"by": by, "text": text}, WRITE_S) is None:
            return NOT_WRITTEN
        if talk is self._open:  # a later session is told by the log
            await talk.orders.note(text)
        return DONE

    async def say(self, text: str) -> Reply:
        return NO_SESSION if self._open is None else await self._open.orders.say(text)

    async def hang_up(self) -> Reply:
        if self._open is None:
            await self._held.end("hangup")
        else:
            await self._open.orders.hang_up()
        return DONE

    async def transfer(self) -> Reply:
        if self._open is not None:
            return await self._open.orders.transfer()
        await self._held.end("transfer")
        return DONE

    async def change_mode(self, mode: Mode) -> Reply:
        talk = self._open
        if mode == "conversation":
            return DONE
        if not self._held.brief.assistant.menu:
            return Refused("not_allowed", "the assistant of this call has no menu")
        if talk is None:
            return NO_SESSION
        if talk.orders.final:
            return ENDING
        await talk.orders.mute()
        talk.end(Ended("given_up", ASKED))
        return DONE

    def refuses_operator(self) -> Refused | None:
        return ENDING if self._open is not None and self._open.orders.final else None

    async def muted(self) -> None:
        if self._open is not None:
            await self._open.orders.mute()

    async def unmuted(self) -> None:
        if self._open is not None:
            await self._open.unmute()

    @property
    def _open(self) -> Talk | None:
        """The talk, if it hears of what happens."""
        return self._talk if self._talk is not None and self._talk.begun else None

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
            talk = Talk(
                held,
                self._tools,
                self._money,
                self._playheads,
                found,
                self._dictation,
                in_words=in_words,
            )
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
