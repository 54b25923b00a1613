"""A media socket that takes nothing, or takes it late, is its own call's trouble alone."""

import asyncio
import base64
import os
import secrets
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from websockets.asyncio.client import ClientConnection, connect

from protocol import events as e
from testbed.twilio.signature import sign_get

URL = "wss://voice.example.com/twilio/media"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"
NARROW = 4096
SECOND = 8_000
"""Bytes of audio."""
GIVEN_UP_BY = 5_000
"""Seconds of speech in a rush, far more than Twilio itself would keep, by which a socket that takes
nothing is given up."""
GROWN_MIB = 64
"""What the process, phones and agents included, may grow by."""
LATE = 400
"""Seconds of speech in a rush, more than sockets hold and less than Twilio keeps (600)."""
WITHIN_S = 20.0


class Reading:
    """A phone's socket that is read only while ``reads`` is set."""

    def __init__(self, inner: ClientConnection) -> None:
        self._inner = inner
        self.reads = asyncio.Event()
        self.reads.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        async for message in self._inner:
            await self.reads.wait()
            yield message


@pytest.fixture
def narrow(world, monkeypatch) -> Any:
    """The ingress, dialled by phones whose sockets hold little."""

    async def dialled() -> Reading:
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW)
        small.setblocking(False)
        where = ("127.0.0.1", world.settings.ingress_port)
        await asyncio.get_running_loop().sock_connect(small, where)
        opened = await connect(
            f"ws://127.0.0.1:{where[1]}/twilio/media",
            sock=small,
            additional_headers={"x-twilio-signature": sign_get(URL, AUTH_TOKEN)},
            compression=None,
            max_queue=1,
        )
        return Reading(opened)

    monkeypatch.setattr(world, "socket", dialled)
    return world


async def beside(world) -> tuple[Any, Any]:
    """One more call, with an agent of its own that is freer than the first one's."""
    agent = await world.agent(free=9)
    phone = await world.call()
    await phone.talk_until(lambda: agent.audio, "the line is live")
    return phone, agent


async def spoken(phone: Any, agent: Any, number: int) -> None:
    """One short item of the agent, heard whole and answered by its mark."""
    before, words = phone.ear.audio(), secrets.token_bytes(320)
    await agent.out("item", item_id=f"word_{number}")
    await agent.speak(words)
    await agent.out("done", item_id=f"word_{number}")

    def told() -> bool:
        return any(h["item_id"] == f"word_{number}" and h["done"] for h in agent.of("heard"))

    await phone.talk_until(told, "the word is heard")
    same = phone.ear.audio() == before + words
    assert same


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def lost() -> float:
    name = "trunkline_ingress_legs_ended_total"
    return REGISTRY.get_sample_value(name, {"reason": "lost"}) or 0.0


async def test_a_phone_that_reads_nothing_is_given_up_and_the_call_beside_it_goes_on(
    narrow,
) -> None:
    stuck, flooding = await narrow.placed()
    other, agent = await beside(narrow)
    before, mib = lost(), resident_mib()
    stuck.socket.reads.clear()
    try:
        await flooding.out("item", item_id="endless")
        sent, words, ended = 0, 0, []
        while not ended:
            for _ in range(50):
                await flooding.speak(b"\x55" * SECOND)
            await narrow.client.flush()
            await stuck.talk(20)  # its caller is still there
            sent, words = sent + 50, words + 1
            assert sent <= GIVEN_UP_BY, "a queue without a bound"
            await spoken(other, agent, words)
            ended = [x.event for x in await narrow.log(stuck.call)]
            ended = [event for event in ended if isinstance(event, e.StreamStopped)]
        assert [event.reason for event in ended] == ["lost"]
        for _ in range(GIVEN_UP_BY // 2):
            await flooding.speak(b"\x55" * SECOND)
        await narrow.client.flush()
        await spoken(other, agent, words + 1)
        assert resident_mib() - mib < GROWN_MIB
        (heard,) = await narrow.logged(stuck.call, e.Heard)
        assert heard.cut
        assert not [x for x in await narrow.log(stuck.call) if isinstance(x.event, e.CallEnded)]
        assert lost() == before + 1
        assert not [x for x in await narrow.log(other.call) if isinstance(x.event, e.StreamStopped)]
    finally:
        stuck.socket.reads.set()


async def test_a_phone_that_reads_late_gets_everything_in_order(narrow) -> None:
    phone, agent = await narrow.placed()
    other, beside_it = await beside(narrow)
    words = [secrets.token_bytes(SECOND) for _ in range(LATE)]
    phone.socket.reads.clear()
    try:
        await agent.out("item", item_id="long")
        for number, second in enumerate(words):
            await agent.speak(second)
            if number % 40 == 0:
                await narrow.client.flush()
                await phone.talk(20)
                await spoken(other, beside_it, number)
        await agent.out("done", item_id="long")
        await narrow.client.flush()
        await spoken(other, beside_it, LATE)
    finally:
        phone.socket.reads.set()
    await phone.talk_until(lambda: phone.playout.received_bytes == LATE * SECOND, "all is there")
    media = [message["media"]["payload"] for message in phone.received if "media" in message]
    same = b"".join(map(base64.b64decode, media)) == b"".join(words)
    assert same
    phone.now_ms += LATE * 1000  # the line goes on while it is played
    await phone.talk_until(lambda: any(h["done"] for h in agent.of("heard")), "it was heard")
    same = phone.ear.audio() == b"".join(words)
    assert same
    (heard,) = await narrow.logged(phone.call, e.Heard)
    assert (heard.item_id, heard.heard_ms, heard.cut) == ("long", LATE * 1000, False)
    assert not [x for x in await narrow.log(phone.call) if isinstance(x.event, e.StreamStopped)]
