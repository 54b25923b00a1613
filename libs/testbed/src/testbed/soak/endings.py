"""How the calls of the soak go, and how each ends: one function an ending, by name in ENDINGS."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from testbed.chaos import voice
from testbed.follower import Follower
from testbed.soak.mind import ANSWER, BREAK, END, GREETING_MS, HUMAN, LOOK_UP, NOTE
from testbed.twilio import Call

TALK, KEYPAD, LOCKED = "+15550100002", "+15550100004", "+15550100005"
"""The called numbers; whoever calls LOCKED is asked for a PIN."""
PIN_CALLER = "+15550100009"
"""The only caller who has one."""
WAIT_S = 30.0
"""For what must come; only a system that hangs takes longer."""


@dataclass(frozen=True, slots=True)
class Talk:
    """A call under way, for its ending."""

    number: int
    call: Call
    follower: Follower
    chance: random.Random

    async def hears(self, ms: float, since_ms: float = 0.0) -> None:
        """Wait for so much audio more than `since_ms` of it. Raises TimeoutError."""
        enough = since_ms + ms
        await self.call.wait_until(lambda c: c.over or c.ear.heard_ms() >= enough, WAIT_S)

    async def greeted(self) -> None:
        """Hear the greeting to its end."""
        await self.hears(GREETING_MS)

    async def asks(self, question: int) -> float:
        """Ask; the audio heard until then, in ms."""
        await self.call.say(voice.question(self.number, question))
        return self.call.ear.heard_ms()

    async def lets_pass(self, most_ms: float) -> None:
        """Wait for a drawn time."""
        until_ms = self.call.now_ms() + self.chance.uniform(0, most_ms)
        await self.call.wait_until(lambda c: c.over or c.now_ms() >= until_ms, WAIT_S)

    async def logged(self, event: str) -> None:
        """Wait for an event of the call. Raises TimeoutError."""
        sid = self.call.sid
        there = await self.follower.wait(
            sid, lambda es: any(e["event"] == event for e in es), WAIT_S
        )
        if not there:
            raise TimeoutError(f"no {event}")

    async def ends(self) -> None:
        """The other side ends the call. Raises TimeoutError."""
        await self.call.wait_until(lambda c: c.over, WAIT_S)


async def ringing(talk: Talk) -> None:
    """Hangs up while it rings, or just as it is answered."""
    await talk.lets_pass(120)


async def greeting(talk: Talk) -> None:
    """Hangs up during the greeting."""
    await talk.hears(talk.chance.uniform(20, GREETING_MS - 100))


async def answer(talk: Talk) -> None:
    """Hangs up in the middle of an answer."""
    await talk.greeted()
    await talk.hears(talk.chance.uniform(20, 1_000), await talk.asks(ANSWER))


async def barge_in(talk: Talk) -> None:
    """Speaks into an answer, hears some of the next one, hangs up."""
    await talk.greeted()
    await talk.hears(400, await talk.asks(ANSWER))
    await talk.hears(200, await talk.asks(ANSWER))


async def tool(talk: Talk) -> None:
    """Hangs up while a tool is under way."""
    await talk.greeted()
    await talk.asks(talk.chance.choice((LOOK_UP, NOTE)))
    await talk.logged("tool_called")


async def goodbye(talk: Talk) -> None:
    """Hears the answer that follows a tool to its end, and hangs up in the silence after it."""
    await talk.greeted()
    await talk.hears(1_500, await talk.asks(talk.chance.choice((LOOK_UP, NOTE))))
    await talk.call.heard_silence(200, WAIT_S)


async def assistant(talk: Talk) -> None:
    """The assistant says goodbye and ends the call."""
    await talk.greeted()
    await talk.asks(END)
    await talk.ends()


async def session(talk: Talk) -> None:
    """The model's session is lost in an answer; the next one goes on, and is hung up on."""
    await talk.greeted()
    await talk.asks(BREAK)
    await talk.logged("session_lost")
    await talk.hears(300, talk.call.ear.heard_ms())


async def abrupt(talk: Talk) -> None:
    """Hangs up; the socket breaks without `stop`."""
    await answer(talk)
    await talk.call.hang_up(abrupt=True)


async def lost_line(talk: Talk) -> None:
    """The socket breaks in an answer; the call goes on over a new one, and is hung up on."""
    await answer(talk)
    stream = talk.call.stream
    if stream is not None:
        stream.vanish()
    await talk.call.wait_until(
        lambda c: c.over or (len(c.streams) > 1 and c.streams[-1].started), WAIT_S
    )
    await talk.hears(200, await talk.asks(ANSWER))


async def unclosed(talk: Talk) -> None:
    """`stop` comes, but the socket stays open until the caller hangs up."""
    await answer(talk)
    stream = talk.call.stream
    if stream is not None:
        stream.send_raw(stream.messages.stop())
    await talk.lets_pass(500)


async def transfer(talk: Talk) -> None:
    """A human is asked for; the two talk, and the call is over."""
    await talk.greeted()
    await talk.asks(HUMAN)
    await talk.logged("transferred")
    await talk.ends()


async def keypad(talk: Talk) -> None:
    """Presses a key of the menu into its sentence, hears some of the answer, hangs up."""
    await talk.hears(talk.chance.uniform(200, 1_000))
    talk.call.press("1")
    await talk.logged("tool_called")
    await talk.hears(300, talk.call.ear.heard_ms())


async def pin_given_up(talk: Talk) -> None:
    """Begins a PIN, and hangs up."""
    await talk.hears(talk.chance.uniform(200, 1_000))
    talk.call.press("481")
    await talk.lets_pass(400)


async def no_pin(talk: Talk) -> None:
    """Has no PIN where one is needed: is told so, and the call is ended."""
    await talk.ends()


@dataclass(frozen=True, slots=True)
class Ending:
    """An ending: the number that is called for it, and what the caller does."""

    act: Callable[[Talk], Awaitable[None]]
    called: str = TALK
    caller: str = ""
    """Who calls; "" for somebody new each time."""

    @property
    def name(self) -> str:
        return self.act.__name__


ENDINGS = (
    *(Ending(act) for act in (ringing, greeting, answer, barge_in, tool, goodbye)),
    *(Ending(act) for act in (assistant, session, abrupt, lost_line, unclosed, transfer)),
    Ending(keypad, KEYPAD),
    Ending(pin_given_up, LOCKED, PIN_CALLER),
    Ending(no_pin, LOCKED),
)


def drawn(seed: int, count: int) -> list[Ending]:
    """An ending for each of `count` calls: all of them as often, in a drawn order."""
    chance = random.Random(f"endings:{seed}")
    found: list[Ending] = []
    while len(found) < count:
        found += chance.sample(ENDINGS, len(ENDINGS))
    return found[:count]
