"""The endpoint ``callers.admit`` and the ends of calls that it counts by: asked by agents when a
call comes, told by ``call_ended`` when it goes.
"""

import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import datetime

from protocol import ids, subjects
from protocol.callers import Admission, AdmitCall, NotAdmitted
from protocol.errors import DecodeError, InvalidToken
from protocol.events import CallEnded, name_of
from protocol.ids import CallId
from runtime import clock, logging
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, Refused
from runtime.micro import Endpoint, Request, json_handler
from runtime.subscribed import Message
from tool_runner import metrics
from tool_runner.admission.repository import Admissions
from tool_runner.callers.rules import number as stored_number
from tool_runner.database import Database
from tool_runner.text import Invalid

_log = logging.get("door")

WITHIN_S = 5.0
ENDED = name_of(CallEnded)
LOG_WITHIN_S = 1.0


class Door:
    """Counts calls by number in ``database``; ``now`` is the clock of their days and ages."""

    def __init__(
        self, database: Database, bus: Bus, now: Callable[[], datetime] = clock.utc_now
    ) -> None:
        self._database = database
        self._bus = bus
        self._calls = CallLog(bus)
        self._now = now

    def endpoints(self) -> list[Endpoint]:
        """The endpoint of the service, for runtime.micro."""
        handler = json_handler(AdmitCall, self.admit)
        return [Endpoint("admit", subjects.callers("admit"), handler)]

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Follow the ends of calls while the block runs.

        Every tool-runner follows all of them, so that a frozen one misses nothing for the others.
        """
        following = await self._bus.subscribe(subjects.event(CallId("*"), ENDED), self._ended)
        try:
            yield
        finally:
            await following.stop()

    async def admit(self, asked: AdmitCall, _: Request) -> Admission:
        """Count the call or refuse it. Raises Refused: 400 for a bad call or number, 503 and 504
        as the database does.
        """
        try:
            ids.call_id(asked.call)
            number = stored_number(asked.number)
        except (InvalidToken, Invalid) as error:
            raise Refused(400, str(error)) from error
        answer = await self._admit(asked, number)
        # Ends that were missed (this process or the database was away) must not keep a caller out.
        if answer == NotAdmitted("at_once") and await self._close_ended(number):
            answer = await self._admit(asked, number)
        if isinstance(answer, NotAdmitted):
            metrics.admissions_refused.labels(answer.reason).inc()
        return answer

    async def _admit(self, asked: AdmitCall, number: str) -> Admission:
        async with self._database.transaction(WITHIN_S) as connection:
            return await Admissions(connection).admit(asked, number, self._now())

    async def _close_ended(self, number: str) -> int:
        """Ask the log which of the number's open calls have ended, and close them; how many."""
        async with self._database.transaction(WITHIN_S) as connection:
            open = await Admissions(connection).open(number, self._now())
        try:
            ended = [call for call in open if await self._has_ended(call)]
        except NatsAway:
            _log.warning("ends of calls not looked up: the log does not answer")
            return 0
        for call in ended:
            await self._close(call)
        return len(ended)

    async def _has_ended(self, call: CallId) -> bool:
        try:
            return await self._calls.last(call, ENDED, timeout=LOG_WITHIN_S) is not None
        except DecodeError:  # of a newer version, but there
            return True

    async def _ended(self, message: Message) -> None:
        call, _, _ = subjects.parse_call(message.subject)
        try:
            await self._close(call)
        except Refused as error:
            _log.warning("end of a call not stored", call_id=call, code=error.code)

    async def _close(self, call: CallId) -> None:
        async with self._database.transaction(WITHIN_S) as connection:
            await Admissions(connection).close(call, self._now())
