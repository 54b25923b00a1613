"""A simulated caller on the phone for tests in a browser, whose loop is not asyncio's: the phone
runs in a thread of its own.

with Phone(facts) as phone: call = phone.dial("+1555..."); phone.say(call, "...")
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as Late
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from testbed.demo import simulated
from testbed.system import System
from testbed.twilio import Call, SimulatedTwilio
from testbed.voice.speaker import CALLER_VOICE, Speaker

PATIENCE_S = 60.0
QUIET = frozenset({0xFF, 0x7F, 0xFE, 0x7E})
"""Bytes of mu-law that nobody hears."""


class Phone:
    """Dials into a running system; `facts` are its `system.json`."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._system = System(**facts)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._open = AsyncExitStack()
        self._speaker = Speaker()
        self._twilio: SimulatedTwilio | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._twilio = self._run(self._open.enter_async_context(simulated(self._system)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._run(self._open.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    def dial(self, number: str) -> Call:
        """A call whose caller has heard the greeting."""
        assert self._twilio is not None
        call: Call = self._run(self._twilio.dial(number))
        self._run(call.heard_silence(700, PATIENCE_S))
        return call

    def say(self, call: Call, text: str) -> None:
        """Speak, to the end."""

        async def speak() -> None:
            await call.say(await self._speaker.speak(text, CALLER_VOICE))

        self._run(speak())

    def loud_ms(self, call: Call, from_ms: float = 0.0) -> float:
        """How much that is no silence the caller has heard since a moment of the call's clock."""
        audio = call.ear.audio(from_ms)
        return sum(byte not in QUIET for byte in audio) / 8

    def until_loud(self, call: Call, from_ms: float, least_ms: float) -> None:
        """Wait until they have heard so much."""
        self._run(call.wait_until(lambda _: self.loud_ms(call, from_ms) >= least_ms, PATIENCE_S))

    def ended(self, call: Call) -> str:
        """Why the call ended, waited for."""
        return self._run(call.ended(PATIENCE_S))

    def hang_up(self, call: Call) -> None:
        self._run(call.hang_up())
        self._run(call.ended(PATIENCE_S))

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        waiting = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return waiting.result(2 * PATIENCE_S)
        except Late:
            waiting.cancel()
            raise
