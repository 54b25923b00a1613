"""What was released stays readable, both ways: old messages by new readers, new ones by old.

The rules are in libs/protocol/README.md; ``released.json`` holds what was promised
(scripts/freeze_contract.py).
"""

import copy
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from scripts import freeze_contract, generate_contract
from scripts.freeze_contract import broken, edited

from protocol import callers, calls, codec, commands, events, line, placement, todos
from protocol.channels import channels
from protocol.errors import DecodeError

ROOT = Path(__file__).parents[2]
RELEASED = json.loads((ROOT / freeze_contract.RELEASED).read_text("utf-8"))
KINDS = {
    generate_contract.schema_name(kind): kind
    for channel in channels()
    for kind in (*channel.messages, *channel.replies)
}


def golden_of(name: str) -> dict[str, Any]:
    """The first golden of a message, by the name of its schema."""
    area, kind = name.split(".")
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()
    return json.loads((ROOT / freeze_contract.GOLDENS / f"{area}.{snake}.json").read_text("utf-8"))


def decoded(name: str, values: Any) -> Any:
    data = json.dumps(values).encode()
    return (
        codec.decode_event(data) if name.startswith("event.") else codec.decode(KINDS[name], data)
    )


# -- what was promised


def test_nothing_that_was_released_is_taken_back() -> None:
    assert len(RELEASED["structs"]) > 90
    assert broken(RELEASED["structs"], freeze_contract.shapes()) == []


def test_no_golden_that_was_released_was_edited() -> None:
    assert len(RELEASED["goldens"]) > 90
    assert edited(RELEASED["goldens"], freeze_contract.digests()) == [], "add <name>.2.json instead"


BEFORE = {
    "Heard": {
        "fields": {
            "item_id": {"type": "string"},
            "why": {"enum": ["a", "b"]},
            "line": {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None},
        },
        "required": ["item_id"],
    }
}


def changed(*path: str, to: Any) -> dict[str, Any]:
    """BEFORE with another value at a place; None removes it."""
    after = copy.deepcopy(BEFORE)
    place: Any = after
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return after


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (BEFORE, []),
        ({**BEFORE, "Another": {"fields": {"x": {}}, "required": ["x"]}}, []),
        (changed("Heard", "fields", "new", to={"type": "string", "default": ""}), []),
        (changed("Heard", "fields", "why", to={"enum": ["a", "b", "c"]}), []),
        ({}, ["Heard is gone"]),
        (changed("Heard", "fields", "item_id", to=None), ["Heard.item_id is gone"]),
        (changed("Heard", "fields", "item_id", to={"type": "integer"}), ["Heard.item_id has"]),
        (changed("Heard", "fields", "why", to={"enum": ["a"]}), ["Heard.why has"]),
        (changed("Heard", "fields", "line", to={"type": "integer"}), ["Heard.line has"]),
        (
            changed("Heard", "fields", "line", "anyOf", to=[{"type": "string"}, {"type": "null"}]),
            ["Heard.line has"],
        ),
        (changed("Heard", "fields", "line", "default", to=7), ["Heard.line has"]),
        (changed("Heard", "required", to=["item_id", "why"]), ["Heard.why has no default"]),
    ],
)
def test_what_counts_as_taken_back(after: Any, found: list[str]) -> None:
    problems = broken(BEFORE, after)
    assert len(problems) == len(found)
    assert all(p.startswith(f) for p, f in zip(problems, found, strict=True))


def test_what_counts_as_edited() -> None:
    assert edited(
        {"a.json": "1", "b.json": "2"}, {"a.json": "1", "b.json": "3", "c.json": "4"}
    ) == ["b.json"]
    assert edited({"a.json": "1"}, {}) == ["a.json"]


def test_a_contract_that_takes_something_back_is_not_frozen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    goldens = tmp_path / freeze_contract.GOLDENS
    goldens.mkdir(parents=True)
    (goldens / "line.clock.json").write_text("{}", "utf-8")
    assert freeze_contract.main(tmp_path) == 0
    file = tmp_path / freeze_contract.RELEASED
    frozen = json.loads(file.read_text("utf-8"))
    frozen["structs"]["Clock"]["fields"]["gone"] = {"type": "string"}
    file.write_text(json.dumps(frozen), "utf-8")
    (goldens / "line.clock.json").write_text("[]", "utf-8")
    assert freeze_contract.main(tmp_path) == 1
    said = capsys.readouterr().err
    assert "Clock.gone is gone" in said
    assert "line.clock.json was edited" in said


# -- an old writer, a new reader


def without_defaults(value: Any, message: Any) -> Any:
    """The message as a version wrote it that knew none of the fields that have a default."""
    if isinstance(message, msgspec.Struct):
        kept = {f.encode_name: f for f in msgspec.structs.fields(message) if f.required}
        tag = message.__struct_config__.tag_field
        return {
            key: without_defaults(each, getattr(message, kept[key].name)) if key in kept else each
            for key, each in value.items()
            if key in kept or key == tag
        }
    if isinstance(value, list):
        return [without_defaults(*pair) for pair in zip(value, message, strict=True)]
    return value


@pytest.mark.parametrize("name", KINDS)
def test_a_message_from_before_every_optional_field_is_still_read(name: str) -> None:
    golden = golden_of(name)
    message = decoded(name, golden)
    old = without_defaults(golden, message)
    read = decoded(name, old)
    assert type(read) is type(message)
    for field in msgspec.structs.fields(message):
        if field.encode_name not in old:
            empty = field.default_factory() if callable(field.default_factory) else field.default
            assert getattr(read, field.name) == empty
    schema = Draft202012Validator(generate_contract.schema(KINDS[name]))
    assert [error.message for error in schema.iter_errors(old)] == []


def test_there_are_optional_fields_to_leave_out() -> None:
    shorter = [n for n in KINDS if len(without_defaults(g := golden_of(n), decoded(n, g))) < len(g)]
    assert len(shorter) > 10


# -- a new writer, an old reader


def with_more(value: Any, message: Any) -> Any:
    """A message of a newer version: a field more in every struct of it."""
    if isinstance(message, msgspec.Struct):
        names = {f.encode_name: f.name for f in msgspec.structs.fields(message)}
        more = {
            key: with_more(each, getattr(message, names[key])) if key in names else each
            for key, each in value.items()
        }
        return more | {"newer": {"nested": [1, None]}}
    if isinstance(value, list):
        return [with_more(*pair) for pair in zip(value, message, strict=True)]
    return value


@pytest.mark.parametrize("name", KINDS)
def test_a_reader_by_the_published_schema_tolerates_new_fields(name: str) -> None:
    file = ROOT / f"docs/reference/schemas/{name}.json"
    schema = Draft202012Validator(json.loads(file.read_text("utf-8")))
    message = decoded(name, golden_of(name))
    newer = with_more(golden_of(name), message)
    assert [error.message for error in schema.iter_errors(newer)] == []
    assert decoded(name, newer) == message, "and so do ours"


def test_an_event_of_a_newer_version_is_told_apart_from_a_broken_reader() -> None:
    """It raises what every reader of the log skips and logs."""
    newer = {**golden_of("event.ringing"), "event": "of_a_newer_version"}
    with pytest.raises(DecodeError):
        codec.decode_event(json.dumps(newer).encode())


def test_every_module_of_messages_is_looked_at() -> None:
    areas = {name.partition(".")[0] for name in KINDS}
    modules = (callers, calls, commands, line, placement, todos)
    assert areas == {"event", *(m.__name__.rpartition(".")[2] for m in modules)}
    assert {n for n in KINDS if n.startswith("event.")} == {
        f"event.{events.name_of(kind)}" for kind in KINDS.values() if issubclass(kind, events.Event)
    }
