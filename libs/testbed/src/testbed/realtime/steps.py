"""The steps of a scripted model: what a test may wait for and answer. Followed by `script`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from testbed.realtime.minds import Drop, Emit, Part, Request

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Expect:
    """A client event that must come; made by `expect`, `expect_output`, `expect_truncate`."""

    label: str
    concerns: Callable[[Event], bool]
    accepts: Callable[[Event], bool]


class OnResponse:
    """Answer the next response request with these parts; `where` must hold for the request."""

    def __init__(self, *parts: Part, where: Callable[[Request], bool] | None = None) -> None:
        self.parts = parts
        self.where = where
        self.label = f"a response request, answered with {_names(parts)}"


class OnSpeech:
    """Hear the next turn as `words` and answer it; without parts no response may follow."""

    def __init__(self, words: str, *parts: Part) -> None:
        self.words = words
        self.parts = parts
        self.heard = False

    @property
    def label(self) -> str:
        """What the step waits for now."""
        answer = f"answered with {_names(self.parts)}"
        return f"a response to '{self.words}', {answer}" if self.heard else f"'{self.words}' spoken"


class AnyOrder:
    """Steps that may come in any order; Emit and Drop are not among them."""

    def __init__(self, *steps: Expect | OnResponse | OnSpeech) -> None:
        self.steps = list(steps)

    @property
    def label(self) -> str:
        """What is still missing."""
        return " and ".join(step.label for step in self.steps)


Step = Expect | OnResponse | OnSpeech | AnyOrder | Emit | Drop


def expect(event_type: str, where: Callable[[Event], bool] | None = None) -> Expect:
    """The next client event of this type must come here, and satisfy `where`."""
    return Expect(event_type, lambda e: e["type"] == event_type, where or _anything)


def expect_output(
    tool_call_id: str | None = None, where: Callable[[Any], bool] | None = None
) -> Expect:
    """The output of a function call; `where` gets it decoded from JSON (else as the string)."""

    def accepts(event: Event) -> bool:
        item = event["item"]
        if tool_call_id is not None and item["call_id"] != tool_call_id:
            return False
        return where is None or where(_decoded(item["output"]))

    label = f"function_call_output of {tool_call_id or 'a call'}"
    return Expect(label, is_output, accepts)


def expect_truncate(from_ms: int, to_ms: int, item_id: str | None = None) -> Expect:
    """A truncate with audio_end_ms in [from_ms, to_ms]."""

    def accepts(event: Event) -> bool:
        right_item = item_id is None or event["item_id"] == item_id
        return right_item and from_ms <= event["audio_end_ms"] <= to_ms

    label = f"conversation.item.truncate at {from_ms}..{to_ms} ms"
    return Expect(label, lambda e: e["type"] == "conversation.item.truncate", accepts)


def _anything(_event: Event) -> bool:
    return True


def is_output(event: Event) -> bool:
    """Whether a client event creates the output of a function call."""
    item = event.get("item")
    return isinstance(item, dict) and cast("Event", item).get("type") == "function_call_output"


def _decoded(output: str) -> Any:
    try:
        return json.loads(output)
    except ValueError:
        return output


def _names(parts: Sequence[Part]) -> str:
    return ", ".join(repr(part) for part in parts) or "nothing"
