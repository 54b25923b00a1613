"""A tool's schema as a form and back, whatever the schema says; what calls tell of a tool; who
serves it.
"""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.live.board import Row
from dashboard.tools.schema import WHOLE, Field, fields_of, pretty, read
from dashboard.tools.use import Use, tools, used
from protocol.call import CallState, ToolUse
from protocol.events import OfferedTool
from protocol.ids import CallId, EventId, ItemId, ToolCallId
from runtime.clock import utc_now
from runtime.discovery import Counted, Served, agreed, served_by

CREATE = msgspec.json.encode(
    {
        "type": "object",
        "properties": {
            "date": {"type": "string", "format": "date", "description": "The day."},
            "description": {"type": "string"},
            "times": {"type": "integer"},
            "loud": {"type": "boolean"},
            "size": {"enum": ["s", "m", 3]},
            "price": {"type": ["number", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["date", "description"],
        "additionalProperties": False,
    }
).decode()

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
words = st.sampled_from(
    ["type", "properties", "required", "enum", "string", "object", "integer", "x"]
)
odd_schemas = json_values | st.dictionaries(
    words, json_values | words | st.dictionaries(words, json_values | words, max_size=3), max_size=4
)


def test_every_kind_of_argument_has_its_field() -> None:
    assert fields_of(CREATE) == (
        Field("date", "day", required=True, about="The day."),
        Field("description", "text", required=True),
        Field("times", "integer"),
        Field("loud", "flag"),
        Field("size", "choice", choices=('"s"', '"m"', "3")),
        Field("price", "number"),
        Field("tags", "json"),
    )
    assert [fields_of(CREATE)[4].shown(c) for c in ('"s"', "3")] == ["s", "3"]


def test_a_form_becomes_the_arguments_and_what_is_empty_is_left_out() -> None:
    typed = {
        "a.date": "2026-11-24", "a.description": " 007 ", "a.times": "3", "a.loud": "false",
        "a.size": "3", "a.price": "2.5", "a.tags": '["x"]', "a.nobody": "1", "caller": "c-ann",
    }  # fmt: skip
    values, problems = read(fields_of(CREATE), typed)
    assert problems == {}
    assert values == {
        "date": "2026-11-24", "description": " 007 ", "times": 3, "loud": False, "size": 3,
        "price": 2.5, "tags": ["x"],
    }  # fmt: skip
    values, problems = read(fields_of(CREATE), {"a.date": "2026-11-24", "a.description": "x"})
    assert (values, problems) == ({"date": "2026-11-24", "description": "x"}, {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("date", "soon"), ("date", ""), ("description", "  "), ("times", "2.5"), ("times", "x"),
        ("times", "9" * 5000), ("loud", "maybe"), ("size", "xl"), ("price", "NaN"),
        ("price", '"3"'), ("tags", "[1"), ("tags", "[" * 100_000),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_named_at_its_field(name: str, text: str) -> None:
    typed = {"a.date": "2026-11-24", "a.description": "x"} | {f"a.{name}": text}
    _, problems = read(fields_of(CREATE), typed)
    assert set(problems) == {name}


@pytest.mark.parametrize("schema", ['{"type": "object"}', "not json", "[]", '{"oneOf": []}', "{}"])
def test_a_schema_without_properties_takes_the_whole_object(schema: str) -> None:
    (whole,) = fields_of(schema)
    assert (whole.name, whole.kind) == (WHOLE, "json")
    assert read((whole,), {"a.": '{"day": "today"}'}) == ({"day": "today"}, {})
    assert set(read((whole,), {"a.": "[1]"})[1]) == {WHOLE}


def test_a_tool_without_arguments_has_no_field() -> None:
    schema = '{"type": "object", "properties": {}, "additionalProperties": false}'
    assert fields_of(schema) == ()
    assert read((), {"a.x": "1"}) == ({}, {})


@given(odd_schemas, st.text(max_size=8))
def test_anybodys_schema_gives_a_form_that_sends_an_object(schema: Any, text: str) -> None:
    written = msgspec.json.encode(schema).decode()
    fields = fields_of(written)
    pretty(written)
    values, problems = read(fields, {field.key: text for field in fields})
    assert msgspec.json.decode(msgspec.json.encode(values)) == values
    assert set(problems) <= {field.name for field in fields}


def _served(service: str, instance: str, name: str = "get_tasks", version: str = "1") -> Served:
    return Served(OfferedTool(name, "does", "{}"), service, instance, version)


def test_a_name_served_by_two_services_is_refused_and_shown() -> None:
    served = [_served("runner", "a"), _served("runner", "b", version="2"), _served("alien", "c")]
    offered, refused = agreed(served)
    assert (offered, refused) == ({}, {"get_tasks"})
    (tool,) = tools(served, {("a", "get_tasks"): Counted(3, 1)}, {}, {})
    assert tool.refused
    assert [(g.service, g.version, g.requests) for g in tool.groups] == [
        ("alien", "1", 0),
        ("runner", "1", 3),
        ("runner", "2", 0),
    ]
    assert tool.instances == 3


def test_instances_of_one_service_share_a_tool() -> None:
    offered, refused = agreed([_served("runner", "a"), _served("runner", "b")])
    assert (set(offered), refused) == ({"get_tasks"}, set())


def test_tools_that_calls_or_profiles_name_are_shown_though_nobody_serves_them() -> None:
    made = tools([_served("runner", "a")], {}, {"end_call": Use(2)}, {"missing": ("desk",)})
    assert [(t.name, bool(t.groups), t.use.calls, t.assistants) for t in made] == [
        ("end_call", False, 2, ()),
        ("get_tasks", True, 0, ()),
        ("missing", False, 0, ("desk",)),
    ]


def test_what_calls_say_of_a_tool() -> None:
    row = Row(1, CallState(CallId("CA1")))
    for n in range(1, 21):
        outcome = None if n == 20 else "failed" if n == 19 else "ok"
        use = ToolUse(
            EventId(f"e{n}"), ToolCallId(f"t{n}"), ItemId(f"i{n}"), "get_tasks", "{}", utc_now(),
            outcome, "{}", n * 10,
        )  # fmt: skip
        row.state.tools.append(use)
    found = used([row])["get_tasks"]
    assert (found.calls, found.failed, found.waiting, found.p95_ms) == (20, 1, 1, 190)
    assert Use().p95_ms is None


@given(st.binary(max_size=60) | json_values.map(msgspec.json.encode))
def test_what_anybody_answers_to_discovery_is_survived(data: bytes) -> None:
    assert served_by(data) == ()


def test_discovery_takes_what_has_a_schema_under_tools() -> None:
    answer = {
        "name": "runner", "id": "a", "version": "1.2.3",
        "endpoints": [
            {"name": "x", "subject": "tools.x", "metadata": {"schema": "{}", "description": "d"}},
            {"name": "y", "subject": "tools.y", "metadata": {"schema": "[]"}},
            {"name": "z", "subject": "todos.z", "metadata": {"schema": "{}"}},
            {"name": "w", "subject": "tools.w"},
        ],
    }  # fmt: skip
    (one,) = served_by(msgspec.json.encode(answer))
    assert one == Served(OfferedTool("x", "d", "{}"), "runner", "a", "1.2.3")
