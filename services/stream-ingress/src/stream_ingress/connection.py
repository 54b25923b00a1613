"""One media socket: runs what comes through media_stream and hands it to its leg.

server calls ``carry`` for every socket it let in; the socket then calls back for every message, 50
a second. Bad input ends this socket alone, with a close reason and a log line that hold nothing
personal.
"""

import asyncio

from protocol.errors import StreamTokenError
from protocol.events import Channel
from runtime import clock, logging
from runtime.tasks import Tasks
from runtime.text_socket import Closed
from stream_ingress import metrics, twilio_messages
from stream_ingress.admission import BROWSER_ACCOUNT, CHANNELS
from stream_ingress.ending import INTERNAL_ERROR, Ending
from stream_ingress.house import House
from stream_ingress.leg import CallLeg
from stream_ingress.media_stream import (
    POLICY_VIOLATION,
    Effect,
    MediaStream,
    Open,
    Refuse,
    Stopped,
)
from stream_ingress.server import MediaSocket
from stream_ingress.twilio_messages import (
    BadMessage,
    DtmfBody,
    MarkBody,
    MediaBody,
    UnknownEvent,
)

_log = logging.get("connection")

START_WITHIN_S = 5.0
_REFUSED_BY_SOCKET = {1002: "broken framing", 1009: "message too big"}
"""Close codes that the socket sends by itself."""
_FAILED = Ending("failed", INTERNAL_ERROR, "internal error")


async def carry(house: House, socket: MediaSocket) -> None:
    """Serve one socket until it is closed."""
    await Connection(socket, house).run()


class Connection:
    """The receiving side of one socket, which tells it what comes."""

    def __init__(self, socket: MediaSocket, house: House) -> None:
        self._socket = socket
        self._house = house
        self._channel: Channel = CHANNELS[socket.path]
        phone = self._channel == "phone"
        self._stream = MediaStream(house.account_sid if phone else BROWSER_ACCOUNT)
        self._leg: CallLeg | None = None
        self._opened: asyncio.Future[CallLeg | Refuse | None] = (
            asyncio.get_running_loop().create_future()
        )
        self._unknown_seen = False
        self._notes = _log
        socket.hearer = self

    async def run(self) -> None:
        """From the upgrade to the end of the socket."""
        opened: CallLeg | Refuse | None
        try:
            async with asyncio.timeout(START_WITHIN_S):
                opened = await self._opened
        except TimeoutError:
            opened = Refuse(POLICY_VIOLATION, "no start in time")
        if opened is None:
            return
        if isinstance(opened, Refuse):
            self._note_refusal(opened.reason)
            await self._socket.close(opened.code, opened.reason)
            return
        logging.about(opened.call)
        async with Tasks("socket") as tasks:
            await opened.run(tasks)

    # -- what the socket tells

    def on_text(self, message: bytes) -> None:
        try:
            self._take(self._receive(message))
        except Exception:  # a boundary: the leg must say its last words
            self._notes.exception("reader failed")
            self._end(_FAILED)

    def on_binary(self, message: bytes) -> None:
        self._take(self._stream.binary())

    def on_writable(self) -> None:
        if self._leg is not None:
            self._leg.outgoing.flush()

    def on_closed(self, closed: Closed) -> None:
        refused = _REFUSED_BY_SOCKET.get(closed.code) if closed.ours else None
        if self._leg is None:
            if not self._opened.done():
                self._note_refusal(refused or "closed before start")
                self._opened.set_result(None)
            return
        if refused is not None:
            self._note_refusal(refused)
        self._leg.over(Ending(refused or "lost"))

    # -- what becomes of it

    def _receive(self, message: bytes) -> Effect:
        try:
            return self._stream.receive(twilio_messages.decode(message))
        except BadMessage as error:
            return self._stream.malformed(str(error))
        except UnknownEvent:
            if not self._unknown_seen:
                self._unknown_seen = True
                self._notes.warning("unknown event ignored")
            return None

    def _take(self, effect: Effect) -> None:
        leg = self._leg
        if leg is None:
            self._open(effect)
            return
        match effect:
            case MediaBody():
                leg.line_in.audio(effect)
            case MarkBody(name):
                leg.line_out.echo(name)
            case DtmfBody():
                leg.line_in.key(effect)
            case Stopped():
                leg.over(Ending("stop"))
            case Refuse(code, reason):
                self._note_refusal(reason)
                leg.over(Ending(reason, code, reason))
            case _:
                pass

    def _open(self, effect: Effect) -> None:
        """Nothing was carried yet: a start that holds opens the leg."""
        if self._opened.done():
            return
        if isinstance(effect, Open):
            self._notes = _log.bind(call_id=effect.call_id)
            try:
                token = self._house.admission.token(
                    effect.call_id, effect.parameters, clock.unix_now(), self._channel
                )
            except StreamTokenError as error:
                effect = Refuse(POLICY_VIOLATION, str(error))
            else:
                self._leg = CallLeg(self._house, self._socket, effect, token)
                self._opened.set_result(self._leg)
        if isinstance(effect, Refuse):
            self._opened.set_result(effect)

    def _end(self, ending: Ending) -> None:
        if self._leg is not None:
            self._leg.over(ending)
        elif not self._opened.done():
            self._opened.set_result(Refuse(ending.code, ending.text))

    def _note_refusal(self, reason: str) -> None:
        metrics.refused.labels(reason).inc()
        self._notes.warning("socket refused", reason=reason)
