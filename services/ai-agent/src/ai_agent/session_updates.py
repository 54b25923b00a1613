"""Updates of the open session in mid-call (shell): told to the model, checked, then written to the
log.

The model answers an update by ``session.updated``, which does not name it, or by an error, which
does: answers are matched by their order, also those that come too late.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from ai_agent.call_brief import Brief
from ai_agent.held_call import HeldCall
from ai_agent.realtime import events as rt
from ai_agent.realtime.commands import UPDATE_EVENT_ID
from ai_agent.realtime.connection import RealtimeConnection, SessionFailed, checked
from ai_agent.revision import revised
from protocol.commands import Done, Refused, Reply, UpdateSession
from protocol.events import SessionUpdated

ANSWER_S = 3.0
"""Seconds that the model may take for an update."""


class SessionUpdates:
    """Of one session. ``unusable(reason)`` is called when an update has spoilt the session."""

    def __init__(
        self, held: HeldCall, model: RealtimeConnection, unusable: Callable[[str], None]
    ) -> None:
        self._held = held
        self._model = model
        self._unusable = unusable
        self._asked: deque[asyncio.Future[str]] = deque()
        self._one_by_one = asyncio.Lock()

    async def run(self, wanted: UpdateSession) -> Reply:
        """Put ``wanted`` into force. Raises StaleWriter when another worker holds the call."""
        async with self._one_by_one:
            held = self._held
            brief = await revised(held.worker, held.brief, wanted)
            if isinstance(brief, Refused):
                return brief
            why = await self._applied(brief)
            if why:
                return Refused("not_applied", f"the model did not take it: {why}")
            held.briefed(brief)
            fields = {
                "by": wanted.by,
                "profile_sha256": brief.sha256,
                "instructions": brief.instructions,
                "tools": brief.tools,
            }
            await asyncio.shield(held.outbox.append(held.event(SessionUpdated, fields)))
            return Done()

    def refresh(self) -> None:
        """Tell the model once more what holds: whether it answers has changed."""
        self._tell(self._held.brief)

    def on_event(self, event: rt.AnyServerEvent) -> None:
        """The model's answers are among its events."""
        if isinstance(event, rt.SessionUpdated):
            try:
                checked(event.session)
            except SessionFailed as error:
                self._unusable(error.reason)
                self._answered(error.reason)
            else:
                self._answered("")
        elif isinstance(event, rt.ErrorReported) and event.error.event_id == UPDATE_EVENT_ID:
            self._answered(event.error.code or event.error.type)

    def end(self) -> None:
        """The session is over."""
        while self._asked:
            self._answered("the session ended")

    async def _applied(self, brief: Brief) -> str:
        """Empty, or why it is not in force."""
        answer = self._tell(brief)
        done, _ = await asyncio.wait({answer}, timeout=ANSWER_S)
        if done:
            return answer.result()
        self._tell(self._held.brief)  # should it still come into force, it is taken back
        return "no answer in time"

    def _tell(self, brief: Brief) -> asyncio.Future[str]:
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        answers = not self._held.floor.muted
        self._model.tell(brief.session_update(event_id=UPDATE_EVENT_ID, answers=answers))
        return answer

    def _answered(self, why: str) -> None:
        if self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_result(why)
