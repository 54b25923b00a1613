"""The model of the soak: a question's number says what it does. Keeps nothing from call to call."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from testbed.chaos import voice
from testbed.realtime.items import Item
from testbed.realtime.minds import CallTool, Controls, Drop, Part, Request, Say
from testbed.realtime.tones import tone

ANSWER, LOOK_UP, NOTE, END, HUMAN, BREAK = range(1, 7)
"""What a caller may ask for: words, words after a tool that reads or writes, the end of the call,
a human; BREAK loses the session in the middle of the answer, the first time."""
GREETING_MS: Final = 800
ANSWER_MS: Final = 1_600
_SAID: Final = tone("soak", ANSWER_MS)
_ASKED: Final = re.compile(r"question (\d+) of call (\d+)")


class Minds:
    """Makes the mind of each session."""

    def __init__(self) -> None:
        self.broken: set[int] = set()
        """Calls whose session was lost already."""

    def __call__(self) -> "SoakMind":
        return SoakMind(self)


class SoakMind:
    """One session."""

    def __init__(self, minds: Minds) -> None:
        self._minds = minds

    def attach(self, controls: Controls) -> None:
        """It acts in responses only."""

    def observe(self, event: Mapping[str, Any]) -> None:
        """What matters is in the items."""

    def response_done(self, response: Mapping[str, Any]) -> None:
        """The next answer follows from the items."""

    def detach(self) -> None:
        """Nothing is held."""

    async def hear(self, item: Item) -> str:
        """The question in a turn's audio, "" if there is none."""
        found = [p for _, p in voice.pieces(item.audio) if p.speaker == voice.CALLER]
        return f"question {found[-1].question} of call {found[-1].call}" if found else ""

    async def reply(self, request: Request) -> Sequence[Part]:
        """What the newest question asks for; a greeting when there is none yet."""
        items = request.items
        if request.instructions is None or not request.instructions.startswith("Say"):
            for index in range(len(items) - 1, -1, -1):
                if items[index].role == "user":
                    words = items[index].text or await request.heard(items[index].id)
                    if found := _ASKED.search(words):
                        return self._do(int(found[1]), int(found[2]), items[index + 1 :])
        return (_said(GREETING_MS),)

    def _do(self, wanted: int, call: int, after: Sequence[Item]) -> Sequence[Part]:
        acted = any(item.type == "function_call" for item in after)
        if wanted == BREAK and call not in self._minds.broken:
            self._minds.broken.add(call)
            return (_said(ANSWER_MS // 2), Drop(None if call % 2 else 1011))
        if wanted == LOOK_UP and not acted:
            return (CallTool("get_tasks", {"period": "today"}),)
        if wanted == NOTE and not acted:
            day = (datetime.now(UTC).date() + timedelta(days=2)).isoformat()
            return (CallTool("create_task", {"date": day, "description": f"note {call}"}),)
        if wanted == END:
            return (_said(GREETING_MS), CallTool("end_call", {}))
        if wanted == HUMAN:
            return (_said(GREETING_MS), CallTool("transfer_to_human", {}))
        return (_said(ANSWER_MS),)


def _said(ms: int) -> Say:
    return Say("something that takes a while to say", audio=_SAID[: ms * 8])
