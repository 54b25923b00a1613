"""The model of the chaos runs: knows the plan, hears who asks what, and says what is owed.

Keeps nothing from session to session: what it says next follows from the conversation's items, as
with a real model. In a restored session it goes on with the last word it is told was heard.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from testbed.chaos import voice
from testbed.chaos.plan import GREETING, GREETING_WORDS, Plan, Question, todo
from testbed.realtime.items import Item
from testbed.realtime.minds import CallTool, Controls, Part, Pause, Request, Say

EXTRA_WORD = 63
"""What it says when it is asked to say something that is nobody's answer."""
CUT = "…"
_ASKED = re.compile(r"question (\d+) of call (\d+)")
_TOLD = re.compile(r"q(\d{2})w(\d{2})")


class Minds:
    """Makes the mind of each session. `text_first`: fault, a restored session's first answer is
    written.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.text_first = False
        self.outputs: dict[str, list[str]] = defaultdict(list)
        """What the model was told of each todo's tool, by description."""
        self.sources = itertools.count(1)

    def __call__(self) -> ChaosMind:
        return ChaosMind(self)


class ChaosMind:
    """One session."""

    def __init__(self, minds: Minds) -> None:
        self._minds = minds
        self._spoken = False
        self._restored = False

    def attach(self, controls: Controls) -> None:
        """It acts in responses only."""

    def observe(self, event: Mapping[str, Any]) -> None:
        """What matters is in the items."""

    def response_done(self, response: Mapping[str, Any]) -> None:
        """The next answer follows from the items."""

    def detach(self) -> None:
        """Nothing is held."""

    async def hear(self, item: Item) -> str:
        """The question in a turn's audio: the one spoken last, if there are pieces of several."""
        found = [p for _, p in voice.pieces(item.audio) if p.speaker == voice.CALLER]
        return asked(found[-1].call, found[-1].question) if found else ""

    async def reply(self, request: Request) -> Sequence[Part]:
        """Words, or the tool call that comes before them."""
        if request.instructions is not None and request.instructions.startswith("Say"):
            return self._extra()
        items = [item for item in request.items if item.role != "system"]
        self._restored = any(i.by_client and i.type != "function_call_output" for i in items)
        for index in range(len(items) - 1, -1, -1):
            if items[index].role != "user":
                continue
            words = items[index].text or await request.heard(items[index].id)
            if found := _ASKED.search(words):
                number, call = int(found[1]), int(found[2])
                return self._answer(call, number, items, items[index + 1 :])
        said = [item for item in items if item.role == "assistant"]
        return self._words(voice.NOBODY, GREETING, GREETING_WORDS, said, 100)

    def _answer(
        self, call: int, number: int, items: Sequence[Item], after: Sequence[Item]
    ) -> Sequence[Part]:
        question = self._minds.plan.calls[call].questions[number - 1]
        if question.tool:
            told, parts = _acted(call, question, items)
            self._minds.outputs[todo(call, number)] += told
            if parts is not None:
                return parts or self._extra()
        said = [item for item in after if item.role == "assistant"]
        return self._words(call, number, question.words, said, question.think_ms)

    def _words(
        self, call: int, number: int, count: int, said: Sequence[Item], think_ms: int
    ) -> Sequence[Part]:
        restored = any(item.by_client for item in said)
        first = next_word(number, [item.text for item in said], again=restored)
        if first >= count and not restored:
            return self._extra()
        source = next(self._minds.sources)
        numbers = range(min(first, count - 1), count)
        audio = b"".join(voice.word(call, number, word, source) for word in numbers)
        text = " ".join(told(number, word) for word in numbers)
        as_audio = not (self._minds.text_first and self._restored and not self._spoken)
        self._spoken = True
        return (Pause(think_ms), Say(text, audio=audio, as_audio=as_audio))

    def _extra(self) -> Sequence[Part]:
        source = next(self._minds.sources)
        return (Say("extra", audio=voice.word(voice.NOBODY, GREETING, EXTRA_WORD, source)),)


def asked(call: int, number: int) -> str:
    """The transcript of a question."""
    return f"question {number} of call {call}"


def told(number: int, word: int) -> str:
    """The transcript of a word; all are of one length, so that text and audio run together."""
    return f"q{number:02}w{word:02}"


def next_word(number: int, texts: Sequence[str], *, again: bool = False) -> int:
    """Where to go on, from the texts of what was said before. The last word of a cut text is said
    again, with `again` that of every text: a transcript runs ahead of its audio.
    """
    first = 0
    for text in texts:
        words = [int(word) for question, word in _TOLD.findall(text) if int(question) == number]
        if words:
            cut = again or text.rstrip().endswith(CUT)
            first = max(first, max(words) + (0 if cut else 1))
    return first


def _acted(
    call: int, question: Question, items: Sequence[Item]
) -> tuple[list[str], Sequence[Part] | None]:
    """What was told of the todo so far, and the tool call that is due; () when its outcome is
    still awaited; None to speak.
    """
    description = todo(call, question.number)
    calls = [
        item
        for item in items
        if item.type == "function_call" and f'"{description}"' in item.wire["arguments"]
    ]
    ids = {item.wire["call_id"] for item in calls}
    outputs = [
        str(item.wire["output"])
        for item in items
        if item.type == "function_call_output" and item.wire["call_id"] in ids
    ]
    again = question.forgetful and len(calls) == 1 and calls[0].by_client
    if not calls or (again and outputs):
        day = datetime.now(UTC).date() + timedelta(days=2)
        arguments = {"date": day.isoformat(), "description": description}
        return outputs, (Pause(question.think_ms), CallTool("create_task", arguments))
    return outputs, None if outputs else ()
