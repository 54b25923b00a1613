"""Speaks to the caller without a conversation: prompts and texts by the Speaker, one after the
other.

Used by the gate and the keypad menu. What was said is in the log like the model's words.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable

from ai_agent.held_call import HeldCall
from ai_agent.speaker.sentence import Sentence
from ai_agent.speaker.speaker import Speaker, SpeakerFailed
from protocol import line
from protocol.audio import BYTES_PER_MS
from protocol.events import Said
from protocol.ids import ItemId
from runtime import logging

_log = logging.get("voice")

Quiet = Callable[[], Awaitable[None]]


class CallVoice:
    """``quiet`` is awaited when everything that was asked for has been heard (or cannot be)."""

    def __init__(
        self, held: HeldCall, speaker: Speaker, quiet: Quiet, *, kind: str = "voice"
    ) -> None:
        """``kind``: how its items are named."""
        self._held = held
        self._speaker = speaker
        self._quiet = quiet
        self._kind = kind
        self._queue: deque[tuple[Sentence, Sentence | None]] = deque()
        self._more = asyncio.Event()
        self._unheard: dict[ItemId, Sentence] = {}
        self._generation = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ending: line.Intent | None = None
        self._ended = False

    @property
    def idle(self) -> bool:
        """Nothing is being said, waits to be said, or is still to be heard."""
        return self._idle.is_set() and not self._unheard

    async def lost(self, ledger: tuple[line.Playhead, ...]) -> None:
        """What was under way to the caller is gone: say again what they did not hear to its
        end.
        """
        heard = {stood.item_id for stood in ledger if stood.done}
        again = [s for item, s in self._unheard.items() if item not in heard]
        self._generation += 1
        self._unheard.clear()
        self._queue.extendleft((sentence, None) for sentence in reversed(again))
        if again or self._ended:
            self._idle.clear()
            self._more.set()

    def say(self, sentence: Sentence, otherwise: Sentence | None = None) -> None:
        """Speak after what is being said; ``otherwise`` when nothing can speak it."""
        self._queue.append((sentence, otherwise))
        self._idle.clear()
        self._more.set()

    def end(self, intent: line.Intent) -> None:
        """Close the line when everything asked for so far has been said and heard."""
        self._ending = intent
        self._more.set()

    async def drained(self, timeout: float) -> None:
        """Wait until nothing is left to be said, at most ``timeout`` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._idle.wait()

    async def stop(self) -> None:
        """Drop everything that is being said or waits."""
        self._generation += 1
        self._queue.clear()
        if self._unheard:
            self._unheard.clear()
            await self._held.line.clear()

    async def heard(self, heard: line.Heard) -> None:
        """The caller heard a part of an item; the end of the last one makes it quiet."""
        if heard.done and heard.item_id in self._unheard:
            del self._unheard[heard.item_id]
            await self._check()

    async def run(self) -> None:
        """Speak what is asked for, for ever."""
        while True:
            await self._more.wait()
            while self._queue:
                sentence, otherwise = self._queue.popleft()
                spoken = await self._speak(sentence)
                if not spoken and otherwise is not None:
                    await self._speak(otherwise)
            self._more.clear()
            self._idle.set()
            if self._ending is not None:
                self._ended = True
                await self._held.end(self._ending)
            await self._check()

    async def _check(self) -> None:
        if not self._queue and not self._unheard and not self._more.is_set():
            await self._quiet()

    async def _speak(self, sentence: Sentence) -> bool:
        item = ItemId(self._held.new_name(self._kind))
        generation, size = self._generation, 0
        self._unheard[item] = sentence
        try:
            async with contextlib.aclosing(self._speaker.speak(sentence)) as speech:
                async for piece in speech:
                    if generation != self._generation:
                        return True
                    size += len(piece)
                    await self._held.line.play(item, piece)
        except SpeakerFailed:
            _log.warning("sentence not spoken", call_id=self._held.id)
            if size == 0:
                self._unheard.pop(item, None)
                return False
        await self._held.line.done(item)
        fields = {
            "item_id": item,
            "response_id": "",
            "text": self._speaker.words(sentence),
            "generated_ms": size // BYTES_PER_MS,
            "done": True,
        }
        self._held.record(Said, fields)
        return True
