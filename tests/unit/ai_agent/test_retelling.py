"""What is told to a new session, in the model's terms."""

from datetime import UTC, datetime

from ai_agent import retelling
from ai_agent.restore import Called, CutOff, Lost, Noted, Pressed, Words
from protocol.call import ToolUse
from protocol.ids import EventId, ItemId, ToolCallId

AT = datetime(2026, 11, 23, tzinfo=UTC)


def use(name: str, result: str | None) -> ToolUse:
    made = ToolUse(
        EventId(f"key_{name}"), ToolCallId(f"call_{name}"), ItemId("f"), name, '{"a":1}', AT
    )
    if result is not None:
        made.outcome, made.result, made.returned_sequence = "ok", result, 9
    return made


TOLD = (
    Words(ItemId("item_u"), "caller", "What is due?"),
    Called(use("get_tasks", '{"todos":[]}')),
    Words(ItemId("a" * 40), "assistant", "Nothing is…"),
    Pressed("12"),
    Called(use("create_task", None)),
    Lost(),
    CutOff(),
)


def test_as_items_in_order_with_results_behind_their_calls() -> None:
    commands = retelling.items(TOLD)
    assert {c["type"] for c in commands} == {"conversation.item.create"}
    found = [c["item"] for c in commands]
    assert [(i["type"], i.get("role"), i.get("call_id")) for i in found] == [
        ("message", "user", None),
        ("function_call", None, "call_get_tasks"),
        ("function_call_output", None, "call_get_tasks"),
        ("message", "assistant", None),
        ("message", "user", None),
        ("function_call", None, "call_create_task"),
        ("message", "system", None),
        ("message", "system", None),
    ]
    assert found[0]["id"] == "item_u", "it can be taken back under its own name"
    assert "id" not in found[3], "a name that the model might refuse"
    assert found[3]["content"] == [{"type": "output_text", "text": "Nothing is…"}]
    assert found[4]["content"][0]["text"] == "The caller pressed 1 2."
    assert (found[1]["name"], found[1]["arguments"]) == ("get_tasks", '{"a":1}')
    assert found[2]["output"] == '{"todos":[]}'


def test_as_words_for_the_instructions() -> None:
    text = retelling.words(TOLD)
    lines = text.splitlines()
    assert lines[0] == retelling.SO_FAR
    assert lines[1:5] == [
        "Caller: What is due?",
        'You called get_tasks with {"a":1}: {"todos":[]}',
        "You: Nothing is…",
        "The caller pressed 1 2.",
    ]
    assert lines[5].endswith("no result yet")
    assert retelling.words(()) == ""


def test_an_open_tool_call_is_an_item_all_the_same() -> None:
    (command,) = retelling.unanswered(TOLD)
    assert command["item"]["call_id"] == "call_create_task"


def test_a_note_is_a_system_item_and_a_line_of_its_own() -> None:
    (command,) = retelling.items([Noted("Offer her Friday.")])
    item = command["item"]
    assert (item["role"], item["content"][0]["text"]) == ("system", "Offer her Friday.")
    assert retelling.words([Noted("Offer her Friday.")]).splitlines()[-1] == "Offer her Friday."
    assert retelling.unanswered([Noted("Offer her Friday.")]) == []
