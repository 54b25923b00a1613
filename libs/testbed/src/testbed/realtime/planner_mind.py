"""The local voice model: hears real speech, decides by rules, speaks with a synthesized voice.

The mind of each session of `python -m testbed.realtime`. Keeps no state: every reply is derived
from the conversation's items, so a session restored from text goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from testbed.realtime import planner_rules as rules
from testbed.realtime.items import Item
from testbed.realtime.minds import CallTool, Controls, Part, Request, Say
from testbed.realtime.planner_speech import understand


class Hears(Protocol):
    """Speech recognition off the event loop; see testbed.voice.hearing."""

    async def hear(self, utterance: bytes) -> str | None:
        """The sentence in mu-law 8 kHz audio."""
        ...


class Speaks(Protocol):
    """Speech synthesis off the event loop; see testbed.voice.speaker."""

    async def speak(self, text: str, voice: str) -> bytes:
        """mu-law 8 kHz of a text."""
        ...


class PlannerMind:
    """A planner's voice; one a session, over a shared hearing and speaker."""

    def __init__(self, hearing: Hears, speaker: Speaks, voice: str) -> None:
        self._hearing, self._speaker, self._voice = hearing, speaker, voice

    def attach(self, controls: Controls) -> None:
        """The planner acts in responses only."""

    def observe(self, event: Mapping[str, Any]) -> None:
        """What matters of client events is in the conversation's items."""

    def response_done(self, response: Mapping[str, Any]) -> None:
        """The next reply is derived from the items, not from the last response."""

    def detach(self) -> None:
        """Hearing and speaker belong to the server, not to the session."""

    async def hear(self, item: Item) -> str:
        """The caller's words in a committed turn."""
        return await self._hearing.hear(bytes(item.audio)) or ""

    async def reply(self, request: Request) -> Sequence[Part]:
        """One sentence or two, or one tool call."""
        step = rules.quoted(request.instructions) or await self._next_step(request)
        if isinstance(step, CallTool):
            return (step,)
        return (Say(step, audio=await self._speaker.speak(step, self._voice)),)

    async def _next_step(self, request: Request) -> str | CallTool:
        instructions = request.config["instructions"]
        turn = _last_turn(request.items)
        if turn is None:
            answered = any(item.role == "assistant" for item in request.items)
            return rules.ANYTHING_ELSE if answered else rules.greeting(instructions)
        caller, after = turn
        if after and after[-1].role == "assistant" and not after[-1].text.endswith("…"):
            return rules.ANYTHING_ELSE  # what ends in dots was cut off: it is said again
        words = caller.text or await request.heard(caller.id)
        return rules.decide(
            understand(words),
            _calls(after),
            now=rules.today(instructions),
            tools=_offered(request.config),
        )


def _last_turn(items: Sequence[Item]) -> tuple[Item, Sequence[Item]] | None:
    """The caller's last message and the items after it, those of the system left out."""
    told = [item for item in items if item.role != "system"]
    for index in range(len(told) - 1, -1, -1):
        if told[index].role == "user":
            return told[index], told[index + 1 :]
    return None


def _calls(items: Sequence[Item]) -> list[rules.Call]:
    outputs = {
        item.wire["call_id"]: item.wire["output"]
        for item in items
        if item.type == "function_call_output"
    }
    return [
        rules.Call(item.wire["name"], item.wire["arguments"], outputs.get(item.wire["call_id"]))
        for item in items
        if item.type == "function_call"
    ]


def _offered(config: Mapping[str, Any]) -> set[str]:
    if config["tool_choice"] == "none":
        return set()
    return {tool["name"] for tool in config["tools"]}
