"""``python -m webhooks.call_me +4930...``: places a call, tells how it goes until it is over, and
hangs up on Ctrl-C.

Asks the running system (``calls.place``), which alone knows what may be dialled; what happens then
is read from the call's log.
"""

import asyncio
import contextlib
import signal

from protocol import subjects
from protocol.calls import CallDone, CallReply, HangUpCall, PlaceCall
from protocol.errors import DecodeError
from protocol.events import CallEnded
from protocol.ids import CallId
from runtime import bus, logging, settings
from runtime.bus import Bus
from runtime.calllog import CallLog
from runtime.errors import NatsAway, NoAnswer, Refused, ServiceError, SettingsError
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.subscribed import Message
from webhooks.place_call import NotPlaced, arguments, place, say, wanted
from webhooks.telling import NEVER_TALKED, sentence

CLIENT = "webhooks/call-me"
LOOK_S = 5.0
"""How often the log is read without a word of news: an event may pass while NATS is away."""
HANG_UP_S = 15.0
"""Longer than Twilio may take to answer."""
LAST_S = 10.0
"""How long the end of a call that we hung up is waited for."""


def main() -> int:
    """0: the call was answered and is over, 1: it was not placed or not answered, 2: settings."""
    parser = arguments("call_me", "Place a call and follow it; Ctrl-C hangs up.")
    parser.add_argument("--words", action="store_true", help="show what is said, too")
    given = parser.parse_args()
    try:
        loaded = settings.load(CommonSettings)
    except SettingsError as error:
        say(*error.problems)
        return 2
    logging.configure("call_me", fmt=loaded.log_format, level="error")
    try:
        return asyncio.run(_call(loaded, wanted(given), words=given.words))
    except NotPlaced as error:
        say(*error.lines)
    except ServiceError as error:
        say(str(error))
    except KeyboardInterrupt:  # the second one
        say("Left; the call may still go on.")
    return 1


async def _call(loaded: CommonSettings, ask: PlaceCall, *, words: bool) -> int:
    stop, news = Shutdown(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)  # a second one ends the process
        stop.ask()
        news.set()

    loop.add_signal_handler(signal.SIGINT, interrupted)
    async with bus.connect(loaded, CLIENT, stop) as nats:
        say(f"Calling {ask.to} ...")
        call = await place(nats, ask)
        say(f"Twilio has taken it: {call}")
        return await Following(nats, call, news, words=words).run(stop)


class Following:
    """Tells one call as its log grows; ``news`` says that there may be something to look at."""

    def __init__(self, nats: Bus, call: CallId, news: asyncio.Event, *, words: bool) -> None:
        self._nats = nats
        self._call = call
        self._words = words
        self._news = news
        self._told = 0
        self._said = ""
        self._away = False
        self._ended: CallEnded | None = None

    async def run(self, stop: Shutdown) -> int:
        """Until the call is over, or was hung up because ``stop`` was asked; the exit code."""

        async def happened(_: Message) -> None:
            self._news.set()

        subscribed = await self._nats.subscribe(subjects.call_events(self._call), happened)
        try:
            # Without a flush an event between the first look and the subscription would be lost.
            await self._nats.settle()
            while self._ended is None and not stop.asked:
                await self._look()
                if self._ended is None:
                    await self._wait()
            if self._ended is None:
                await self._hang_up()
        finally:
            await subscribed.stop()
        return 1 if self._ended is None or self._ended.reason in NEVER_TALKED else 0

    async def _wait(self) -> None:
        """Until there is news, or it is time to look without it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._news.wait()
        self._news.clear()

    async def _look(self) -> None:
        """Tell what is new in the log."""
        try:
            entries = await CallLog(self._nats).read(self._call)
        except NatsAway:
            if not self._away:
                say("NATS is away; the call itself goes on. Looking again ...")
            self._away = True
            return
        self._away = False
        for entry in entries:
            if entry.sequence <= self._told:
                continue
            self._told = entry.sequence
            line = sentence(entry.event, words=self._words)
            if line is not None and line != self._said:
                say(line)
                self._said = line
            if isinstance(entry.event, CallEnded):
                self._ended = entry.event
                break  # late callbacks tell nothing new

    async def _hang_up(self) -> None:
        """Ask for the end, and wait until the log says it."""
        say("Hanging up ...")
        try:
            reply: CallReply = await self._nats.request(
                subjects.calls("hang_up"),
                HangUpCall(self._call, "call_me was interrupted"),
                CallReply,
                timeout=HANG_UP_S,
            )
        except (NoAnswer, NatsAway, Refused, DecodeError) as error:
            say(f"It was not hung up: {error}.")
            return
        if not isinstance(reply, CallDone):
            say(f"It was not hung up ({reply.reason}): {reply.message}")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                while self._ended is None:
                    await self._look()
                    if self._ended is None:
                        await self._wait()


if __name__ == "__main__":
    raise SystemExit(main())
