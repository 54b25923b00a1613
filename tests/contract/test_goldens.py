"""One golden JSON a message: what was ever written stays readable.

A golden is never edited. A message that gains a field keeps its golden (the new field has a
default) and may get a further one, ``<name>.<n>.json``.
"""

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from protocol import callers, calls, codec, commands, events, line, placement, todos
from protocol.errors import DecodeError

EXAMPLES = Path(__file__).parents[2] / "libs/protocol/examples"
MODULES = {
    "callers": callers,
    "calls": calls,
    "commands": commands,
    "line": line,
    "placement": placement,
    "todos": todos,
}


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def message_classes() -> dict[str, type[msgspec.Struct]]:
    """Every message by the name of its golden."""
    found: dict[str, type[msgspec.Struct]] = {
        f"event.{events.name_of(kind)}": kind for kind in get_args(events.AnyEvent)
    }
    for prefix, module in MODULES.items():
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, msgspec.Struct)
                and kind.__module__ == module.__name__
            ):
                found[f"{prefix}.{snake(kind.__name__)}"] = kind
    return found


MESSAGES = message_classes()
FILES = sorted(EXAMPLES.glob("*.json"))


def kind_of(file: Path) -> type[msgspec.Struct]:
    return MESSAGES[re.sub(r"\.\d+$", "", file.stem)]


def decode(file: Path, data: bytes) -> Any:
    return codec.decode_event(data) if file.name.startswith("event.") else decode_plain(file, data)


def decode_plain(file: Path, data: bytes) -> Any:
    return codec.decode(kind_of(file), data)


def missing_from(golden: Any, encoded: Any, at: str = "$") -> list[str]:
    """Places where ``encoded`` does not say what ``golden`` says; more keys are fine."""
    if isinstance(golden, dict) and isinstance(encoded, dict):
        places = [f"{at}.{key}" for key in golden if key not in encoded]
        for key in golden.keys() & encoded.keys():
            places += missing_from(golden[key], encoded[key], f"{at}.{key}")
        return places
    if isinstance(golden, list) and isinstance(encoded, list) and len(golden) == len(encoded):
        return [
            place
            for i, (a, b) in enumerate(zip(golden, encoded, strict=True))
            for place in missing_from(a, b, f"{at}[{i}]")
        ]
    return [] if golden == encoded else [at]


def test_every_message_has_its_golden_and_every_golden_its_message() -> None:
    first = [file.stem for file in FILES if not re.search(r"\.\d+$", file.stem)]
    assert sorted(first) == sorted(MESSAGES), "write libs/protocol/examples/<name>.json"
    for file in FILES:
        assert kind_of(file), file


def test_every_event_class_is_in_the_union() -> None:
    declared: set[type] = set()
    waiting: list[type] = [events.Event]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        declared.add(kind)
    declared -= {events.Event, events.AgentEvent}
    assert declared == set(get_args(events.AnyEvent))


def test_tags_are_unique_and_subject_safe() -> None:
    names = [events.name_of(kind) for kind in get_args(events.AnyEvent)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z_]+", name) for name in names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_decodes_and_encodes_to_the_same_values(file: Path) -> None:
    message = decode(file, file.read_bytes())
    assert type(message) is kind_of(file)
    encoded = codec.encode(message)
    assert missing_from(json.loads(file.read_text("utf-8")), json.loads(encoded)) == []
    assert decode(file, encoded) == message


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_golden_sets_every_field_it_was_written_with(file: Path) -> None:
    """A golden that leaves everything to defaults proves nothing about the names."""
    fields = {
        field.encode_name for field in msgspec.structs.fields(kind_of(file)) if field.required
    }
    assert fields <= json.loads(file.read_text("utf-8")).keys()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_fields_of_a_newer_version_are_tolerated(file: Path) -> None:
    values = json.loads(file.read_text("utf-8"))
    newer = {**values, "from_a_newer_version": {"nested": [1, None, "x"]}}
    assert decode(file, json.dumps(newer).encode()) == decode(file, file.read_bytes())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_missing_required_field_is_an_error_that_names_it(file: Path) -> None:
    values = json.loads(file.read_text("utf-8"))
    for field in msgspec.structs.fields(kind_of(file)):
        if field.required:
            without = {k: v for k, v in values.items() if k != field.encode_name}
            with pytest.raises(DecodeError, match=field.encode_name):
                decode(file, json.dumps(without).encode())
