"""The conversation: creating, ordering, deleting and truncating items, and every refusal."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from testbed.realtime.errors import ApiError
from testbed.realtime.items import Conversation, Item
from testbed.realtime.tones import tone


def conversation() -> Conversation:
    numbers = itertools.count(1)
    return Conversation(lambda kind: f"{kind}_{next(numbers)}")


def user(text: str, **fields: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **fields}


def spoken(item_id: str, ms: int) -> Item:
    part = {"type": "output_audio", "transcript": "words"}
    wire = {"id": item_id, "type": "message", "role": "assistant", "content": [part]}
    return Item(wire, audio=bytearray(tone("words", ms)))


def refusal(call: Any, *args: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        call(*args)
    return refused.value


def test_items_go_to_the_end_to_the_root_or_after_another() -> None:
    items = conversation()
    assert items.create(user("b", id="b"), None)[1] is None
    assert items.create(user("d", id="d"), None)[1] == "b"
    assert items.create(user("a", id="a"), "root")[1] is None
    assert items.create(user("c", id="c"), "b")[1] == "b"
    assert [item.id for item in items] == ["a", "b", "c", "d"]
    assert refusal(items.create, user("e"), "nowhere").param == "previous_item_id"
    assert len(items) == 4


def test_an_id_is_made_if_absent_and_unique() -> None:
    items = conversation()
    item, _ = items.create(user("hello"), None)
    assert item.id == "item_1"
    assert item.wire["object"] == "realtime.item"
    assert item.wire["status"] == "completed"
    assert refusal(items.create, user("again", id=item.id), None).code == "invalid_value"


@pytest.mark.parametrize(
    ("item", "code", "param"),
    [
        ({"type": "message", "role": "user"}, "missing_required_parameter", "item.content"),
        ({"type": "message", "content": []}, "missing_required_parameter", "item.role"),
        ({"type": "poem"}, "invalid_value", "item.type"),
        (user("x", mood="good"), "unknown_parameter", "item.mood"),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "x"}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]},
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            {"type": "message", "role": "system", "content": [{"type": "output_text"}]},
            "invalid_value",
            "item.content[0].type",
        ),
        (
            {"type": "function_call_output", "call_id": "call_9", "output": "{}"},
            "invalid_tool_call_id",
            "item.call_id",
        ),
        (
            {
                "type": "message",
                "role": "user",
                "content": [{"type": "input_audio", "audio": "no base64"}],
            },
            "invalid_value",
            "item.content[0].audio",
        ),
        ("words", "invalid_type", "item"),
    ],
)
def test_what_the_api_refuses(item: Any, code: str, param: str) -> None:
    items = conversation()
    error = refusal(items.create, item, None)
    assert (error.code, error.param) == (code, param)
    assert len(items) == 0


def test_a_call_and_its_output() -> None:
    items = conversation()
    items.create({"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}, None)
    output = {"type": "function_call_output", "call_id": "c", "output": "{}"}
    assert items.create(output, None)[0].type == "function_call_output"


def test_truncate_keeps_the_heard_audio_and_forgets_the_transcript() -> None:
    items = conversation()
    items.append(spoken("s", 1_000))
    items.truncate("s", 0, 400)
    item = items.find("s")
    assert item is not None
    assert item.audio == tone("words", 400)
    assert item.text == ""
    error = refusal(items.truncate, "s", 0, 401)
    assert error.message == "Audio content of 400ms is already shorter than 401ms"
    assert error.code == "invalid_value"


def test_truncate_refuses_what_is_not_the_models_speech() -> None:
    items = conversation()
    items.create(user("hello", id="u"), None)
    written = [{"type": "output_text", "text": "hi"}]
    items.create({"type": "message", "role": "assistant", "content": written, "id": "t"}, None)
    items.append(spoken("s", 100))
    assert refusal(items.truncate, "nobody", 0, 0).code == "item_truncate_invalid_item_id"
    assert refusal(items.truncate, "u", 0, 0).code == "invalid_value"
    assert refusal(items.truncate, "t", 0, 0).code == "invalid_value"
    assert refusal(items.truncate, "s", 1, 0).code == "invalid_value"


def test_delete_and_retrieve() -> None:
    items = conversation()
    items.append(spoken("s", 100))
    shown = items.retrieve("s", lambda audio: audio)
    assert base64.b64decode(shown["content"][0]["audio"]) == tone("words", 100)
    items.delete("s")
    assert refusal(items.delete, "s").code == "item_delete_invalid_item_id"
    assert refusal(items.retrieve, "s", bytes).code == "item_retrieve_invalid_item_id"


class ConversationMachine(RuleBasedStateMachine):
    """Any order of operations against a plain list of (id, ms)."""

    def __init__(self) -> None:
        super().__init__()
        self.items = conversation()
        self.model: list[tuple[str, int]] = []
        self.count = 0

    @rule(ms=st.integers(0, 500))
    def speak(self, ms: int) -> None:
        self.count += 1
        self.items.append(spoken(f"s{self.count}", ms))
        self.model.append((f"s{self.count}", ms))

    @rule(data=st.data())
    def create_after(self, data: st.DataObject) -> None:
        self.count += 1
        after = data.draw(st.sampled_from([None, "root", *[name for name, _ in self.model]]))
        self.items.create(user("x", id=f"u{self.count}"), after)
        names = [name for name, _ in self.model]
        at = {None: len(names), "root": 0}.get(after)
        self.model.insert(names.index(after) + 1 if at is None else at, (f"u{self.count}", 0))

    @rule(data=st.data(), ms=st.integers(0, 600))
    def truncate(self, data: st.DataObject, ms: int) -> None:
        index = data.draw(st.integers(0, max(0, len(self.model) - 1)))
        if not self.model:
            return
        name, length = self.model[index]
        if name.startswith("s") and ms <= length:
            self.items.truncate(name, 0, ms)
            self.model[index] = (name, ms)
        else:
            refusal(self.items.truncate, name, 0, ms)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if self.model:
            name, _ = self.model.pop(data.draw(st.integers(0, len(self.model) - 1)))
            self.items.delete(name)

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert [(item.id, item.audio_ms) for item in self.items] == self.model


TestConversationMachine = ConversationMachine.TestCase
TestConversationMachine.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
