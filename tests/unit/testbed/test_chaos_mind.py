"""The model of the chaos runs: what it says next follows from the conversation alone."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from testbed.chaos import voice
from testbed.chaos.mind import ChaosMind, Minds, asked, next_word, told
from testbed.chaos.plan import GREETING, GREETING_WORDS, draw, todo
from testbed.realtime.items import Item
from testbed.realtime.minds import CallTool, Part, Request, Say

PLAN = draw(5, 2, 6, within_s=1.0)
PLAIN = next(q for q in PLAN.calls[1].questions if not q.tool)
TOOL = next(q for call in PLAN.calls for q in call.questions if q.tool and q.forgetful)
FORGETFUL = next(c.call for c in PLAN.calls if TOOL in c.questions)


def message(role: str, text: str, *, by_client: bool = True) -> Item:
    kind = {"user": "input_text", "system": "input_text"}.get(role, "output_text")
    content = [{"type": kind, "text": text}]
    wire = {"id": f"item_{role}", "type": "message", "role": role, "content": content}
    return Item(wire, by_client=by_client)


def call_item(call: int, question: int, *, by_client: bool, tool_call_id: str = "call_1") -> Item:
    arguments = json.dumps({"date": "2030-01-01", "description": todo(call, question)})
    wire = {"id": tool_call_id, "type": "function_call", "call_id": tool_call_id}
    return Item(wire | {"name": "create_task", "arguments": arguments}, by_client=by_client)


def output(text: str, tool_call_id: str = "call_1") -> Item:
    wire = {"id": f"out_{tool_call_id}", "type": "function_call_output", "call_id": tool_call_id}
    return Item(wire | {"output": text}, by_client=True)


async def reply(*items: Item, instructions: str | None = None) -> Sequence[Part]:
    async def heard(item_id: str) -> str:
        return ""

    config: dict[str, Any] = {}
    request = Request("resp_1", "turn", config, instructions, items, heard)
    return await Minds(PLAN)().reply(request)


def words(parts: Sequence[Part]) -> list[tuple[int, int, int]]:
    """(call, question, word) of what is spoken."""
    (say,) = [part for part in parts if isinstance(part, Say)]
    found = [piece for _, piece in voice.pieces(say.audio or b"")]
    return list(dict.fromkeys((p.call, p.question, p.word) for p in found))


async def test_it_hears_a_question_in_the_audio_of_a_turn() -> None:
    turn = Item({"type": "message"}, audio=bytearray(b"\xff" * 800 + voice.question(1, 4)[320:]))
    assert await Minds(PLAN)().hear(turn) == asked(1, 4)
    assert await Minds(PLAN)().hear(Item({}, audio=bytearray(b"\xff" * 800))) == ""


async def test_it_greets_first() -> None:
    said = words(await reply(instructions="Greet the caller."))
    assert said == [(voice.NOBODY, GREETING, word) for word in range(GREETING_WORDS)]


async def test_it_answers_with_every_word_of_the_question() -> None:
    said = words(await reply(message("user", asked(1, PLAIN.number))))
    assert said == [(1, PLAIN.number, word) for word in range(PLAIN.words)]


async def test_told_what_was_heard_it_goes_on_with_the_rest() -> None:
    text = " ".join(told(PLAIN.number, word) for word in range(3))
    items = (message("user", asked(1, PLAIN.number)), message("assistant", text))
    note = message("system", "You were cut off.")
    assert words(await reply(*items, note))[0] == (1, PLAIN.number, 2), "the last one again"
    cut = (items[0], message("assistant", f"{text}…"))
    assert words(await reply(*cut, note))[0] == (1, PLAIN.number, 2)
    whole = " ".join(told(PLAIN.number, word) for word in range(PLAIN.words))
    said = words(await reply(items[0], message("assistant", whole), note))
    assert said == [(1, PLAIN.number, PLAIN.words - 1)]


async def test_asked_for_more_in_the_same_session_it_says_something_else() -> None:
    whole = " ".join(told(PLAIN.number, word) for word in range(PLAIN.words))
    own = message("assistant", whole, by_client=False)
    assert words(await reply(message("user", asked(1, PLAIN.number)), own)) == [
        (voice.NOBODY, GREETING, 63)
    ]


@pytest.mark.parametrize(
    ("texts", "following"),
    [([], 0), (["…"], 0), (["q02w00 q02w01"], 2), (["q02w00 q02w01…"], 1), (["q01w09"], 0)],
)
def test_where_it_goes_on(texts: list[str], following: int) -> None:
    assert next_word(2, texts) == following
    assert next_word(2, texts, again=True) == min(following, 1)


async def test_it_calls_the_tool_before_it_answers() -> None:
    call, question = FORGETFUL, TOOL
    turn = message("user", asked(call, question.number))
    (_, wanted) = await reply(turn)
    assert isinstance(wanted, CallTool)
    assert isinstance(wanted.arguments, dict)
    assert wanted.arguments["description"] == todo(call, question.number)
    own = call_item(call, question.number, by_client=False)
    parts = await reply(turn, own, output('{"status":"created"}'))
    assert words(parts)[0] == (call, question.number, 0)


async def test_a_forgetful_one_calls_again_after_a_restore_but_once() -> None:
    call, number = FORGETFUL, TOOL.number
    turn = message("user", asked(call, number))
    restored = (turn, call_item(call, number, by_client=True), output("{}"))
    assert isinstance((await reply(*restored))[1], CallTool)
    again = call_item(call, number, by_client=False, tool_call_id="call_2")
    parts = await reply(*restored, again, output("{}", "call_2"))
    assert words(parts)[0] == (call, number, 0)


async def test_what_it_is_told_to_say_is_no_answer() -> None:
    parts = await reply(message("user", asked(1, 1)), instructions='Say: "Are you there?"')
    assert words(parts) == [(voice.NOBODY, GREETING, 63)]


async def test_on_request_a_restored_session_writes_its_first_answer() -> None:
    minds = Minds(PLAN)
    minds.text_first = True

    async def heard(item_id: str) -> str:
        return ""

    async def spoken(mind: ChaosMind, turn: Item) -> bool:
        config: dict[str, Any] = {}
        parts = await mind.reply(Request("resp_1", "turn", config, None, (turn,), heard))
        return next(part.as_audio for part in parts if isinstance(part, Say))

    fresh, restored = minds(), minds()
    turn = message("user", asked(1, PLAIN.number))
    assert [await spoken(restored, turn), await spoken(restored, turn)] == [False, True]
    own = message("user", asked(1, PLAIN.number), by_client=False)
    assert await spoken(fresh, own)
