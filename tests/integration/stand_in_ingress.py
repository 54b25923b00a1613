"""An ingress that opens and loses legs as the real one does and carries no sound."""

import asyncio
import json
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from protocol import events as e
from protocol import ids, stream_token, subjects
from protocol.ids import CallId, IngressId, Leg, StreamId
from protocol.line import Intent
from protocol.placement import IngressAlive
from protocol.stream_token import StreamToken
from runtime import outbox
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.clock import unix_now, utc_now
from runtime.errors import NatsAway

SECRET = "a-secret-of-stream-tokens"
BEAT_S = 0.2


class StandIn:
    """Give ``carry`` to a WebSocket server, ``nats`` before the first call, and run ``beat``."""

    nats: Bus

    def __init__(self) -> None:
        self.name = IngressId("stand-in")
        self.legs: dict[Leg, CallId] = {}
        self.tokens: list[StreamToken] = []
        """Those of every leg it opened, in order."""
        self.dead = False
        self.silent = False
        """It lives, but its heartbeats reach nobody."""
        self.dies_at_once = False
        """Every leg breaks as soon as it is open, and no heartbeat says that it ever was."""
        self._sockets: dict[Leg, ServerConnection] = {}

    def die(self) -> None:
        """As by kill -9: sockets break without a word, nothing is written, no heartbeat comes."""
        self.dead = True
        self.legs.clear()
        for socket in self._sockets.values():
            socket.transport.abort()
        self._sockets.clear()

    def live(self) -> None:
        """A new process in its place."""
        self.dead = False

    async def beat(self) -> None:
        while True:
            if not (self.dead or self.silent) and self.nats.connected:
                alive = IngressAlive(self.name, tuple(self.legs), tuple(self.legs.values()))
                await self.nats.publish(subjects.ingress_alive(self.name), alive)
            await asyncio.sleep(BEAT_S)

    async def close(self, leg: Leg, intent: Intent, *, then_die: bool = False) -> None:
        """Say why, then close the socket, or die before it is closed."""
        call, socket = self.legs[leg], self._sockets[leg]
        event = e.StreamClosing(**self._common(call), leg=leg, intent=intent, line_ms=1_000)
        await outbox.publish(self.nats, event)
        if then_die:
            self.die()
        else:
            await socket.close()

    async def carry(self, socket: ServerConnection) -> None:
        leg = Leg(0)
        try:
            async for text in socket:
                message: Any = json.loads(text)
                if message["event"] == "start":
                    leg = await self._open(socket, message["start"])
                elif message["event"] == "stop":
                    await self._end(leg, "stop")
        except ConnectionClosed:
            pass
        if leg in self.legs:  # the socket broke, or we closed it
            await self._end(leg, "lost")

    async def _open(self, socket: ServerConnection, start: Any) -> Leg:
        if self.dead:
            socket.transport.abort()
            return Leg(0)
        text = start["customParameters"][stream_token.PARAMETER]
        token = stream_token.verify(text, [SECRET], unix_now())
        event = e.StreamStarted(
            **self._common(token.call),
            stream_id=StreamId(start["streamSid"]),
            ingress=self.name,
            previous_leg=token.previous_leg,
            line_ms=token.line_ms,
        )
        leg = Leg(await outbox.take(self.nats, event, expected=token.previous_leg) or 0)
        if not leg:
            await socket.close(1008, "used token")
            return leg
        self.tokens.append(token)
        if self.dies_at_once:
            socket.transport.abort()
            return leg
        self.legs[leg], self._sockets[leg] = token.call, socket
        return leg

    async def _end(self, leg: Leg, reason: str) -> None:
        call = self.legs.pop(leg, None)
        self._sockets.pop(leg, None)
        if call is None:
            return
        try:
            stopped = e.StreamStopped(**self._common(call), leg=leg, reason=reason, line_ms=1_000)
            await outbox.publish(self.nats, stopped)
            if reason == "stop":
                redirecting = await CallLog(self.nats).last(call, "redirecting")
                if redirecting is None or redirecting.sequence < leg:
                    ended = e.CallEnded(**self._common(call), reason="caller_hung_up")
                    await outbox.take(self.nats, ended, expected=0)
        except NatsAway:
            return

    def _common(self, call: CallId) -> dict[str, Any]:
        return {
            "id": ids.new_event_id(),
            "call_id": call,
            "at": utc_now(),
            "service": "stream-ingress",
            "worker": self.name,
        }
