"""One media socket: reads its frames, runs them through media_stream, hands them to its leg.

server calls ``carry`` for every socket it let in. Bad input ends this socket alone, with a close
reason and a log line that hold nothing personal.
"""

import asyncio

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from protocol.errors import StreamTokenError
from protocol.events import Channel
from runtime import clock, logging
from runtime.tasks import Tasks
from stream_ingress import metrics, twilio_messages
from stream_ingress.admission import BROWSER_ACCOUNT, CHANNELS
from stream_ingress.house import House
from stream_ingress.leg import INTERNAL_ERROR, CallLeg, Ending
from stream_ingress.media_stream import (
    POLICY_VIOLATION,
    Effect,
    MediaStream,
    Open,
    Refuse,
    Stopped,
)
from stream_ingress.twilio_messages import (
    BadMessage,
    DtmfBody,
    MarkBody,
    MediaBody,
    UnknownEvent,
)

_log = logging.get("connection")

START_WITHIN_S = 5.0
_REFUSED_BY_LIBRARY = {1002: "broken framing", 1007: "invalid text", 1009: "message too big"}
"""Close codes that websockets sends by itself."""


async def carry(socket: ServerConnection, house: House) -> None:
    """Serve one socket until it is closed."""
    connection = Connection(socket, house)
    try:
        await connection.run()
    except Exception:  # a boundary: one socket among many
        _log.exception("socket failed")
        await socket.close(INTERNAL_ERROR, "internal error")


class Connection:
    """The receiving side of one socket."""

    def __init__(self, socket: ServerConnection, house: House) -> None:
        self._socket = socket
        self._house = house
        assert socket.request is not None, "the server let it in by its request"
        self._channel: Channel = CHANNELS[socket.request.path]
        phone = self._channel == "phone"
        self._stream = MediaStream(house.account_sid if phone else BROWSER_ACCOUNT)
        self._unknown_seen = False
        self._notes = _log

    async def run(self) -> None:
        """From the upgrade to the end of the socket."""
        try:
            async with asyncio.timeout(START_WITHIN_S):
                opening = await self._opening()
        except TimeoutError:
            opening = Refuse(POLICY_VIOLATION, "no start in time")
        except ConnectionClosed as closed:
            self._note_refusal(_refused_by_library(closed) or "closed before start")
            return
        if isinstance(opening, Refuse):
            await self._refuse(opening)
            return
        self._notes = _log.bind(call_id=opening.call_id)
        logging.about(opening.call_id)
        try:
            token = self._house.admission.token(
                opening.call_id, opening.parameters, clock.unix_now(), self._channel
            )
        except StreamTokenError as error:
            await self._refuse(Refuse(POLICY_VIOLATION, str(error)))
            return
        leg = CallLeg(self._house, self._socket, opening, token)
        async with Tasks("socket") as tasks:
            tasks.spawn(self._reading(leg), "reader")
            await leg.run(tasks)

    async def _opening(self) -> Open | Refuse:
        while True:
            effect = self._receive(await self._socket.recv())
            if isinstance(effect, Open | Refuse):
                return effect

    async def _reading(self, leg: CallLeg) -> None:
        recv, receive, line_in = self._socket.recv, self._receive, leg.line_in
        try:
            while True:
                effect = receive(await recv())
                if type(effect) is MediaBody:
                    await line_in.audio(effect)
                    continue
                match effect:
                    case MarkBody(name):
                        await leg.line_out.echo(name)
                    case DtmfBody():
                        await line_in.key(effect)
                    case Stopped():
                        leg.over(Ending("stop"))
                        return
                    case Refuse(code, reason):
                        self._note_refusal(reason)
                        leg.over(Ending(reason, code, reason))
                        return
                    case _:
                        pass
        except ConnectionClosed as closed:
            refused = _refused_by_library(closed)
            if refused is not None:
                self._note_refusal(refused)
            leg.over(Ending(refused or "lost"))
        except Exception:  # a boundary: the leg must say its last words
            self._notes.exception("reader failed")
            leg.over(Ending("failed", INTERNAL_ERROR, "internal error"))

    def _receive(self, frame: str | bytes) -> Effect:
        if isinstance(frame, bytes):
            return self._stream.binary()
        try:
            return self._stream.receive(twilio_messages.decode(frame))
        except BadMessage as error:
            return self._stream.malformed(str(error))
        except UnknownEvent:
            if not self._unknown_seen:
                self._unknown_seen = True
                self._notes.warning("unknown event ignored")
            return None

    async def _refuse(self, refuse: Refuse) -> None:
        self._note_refusal(refuse.reason)
        await self._socket.close(refuse.code, refuse.reason)

    def _note_refusal(self, reason: str) -> None:
        metrics.refused.labels(reason).inc()
        self._notes.warning("socket refused", reason=reason)


def _refused_by_library(closed: ConnectionClosed) -> str | None:
    """Why websockets itself closed the connection, or None when it did not."""
    if closed.sent is None or closed.rcvd_then_sent:
        return None
    return _REFUSED_BY_LIBRARY.get(closed.sent.code)
