"""What is generated from the contract says what the code says, and is valid by its own standards.

``asyncapi-3.0.0.json`` is the AsyncAPI initiative's schema (npm @asyncapi/specs, Apache-2.0),
without bindings and prose.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from msgspec import Struct
from scripts import generate_contract

from protocol import callers, calls, commands, line, placement, todos
from protocol.channels import channels

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "libs/protocol/examples"
DOCUMENT = json.loads((ROOT / "docs/reference/asyncapi.json").read_text("utf-8"))
PARTS = {
    *("BrowserLine", "Playhead", "RingedAudio", "RingedKey", "Todo"),
}
"""Structs that stand only inside of messages."""


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_the_documents_are_what_the_code_generates(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate_contract.main(["--check"]) == 0, capsys.readouterr().err


def test_a_stale_or_left_over_document_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate_contract.main([], tmp_path) == 0
    assert generate_contract.main(["--check"], tmp_path) == 0
    (tmp_path / "docs/reference/messages.md").write_text("old", "utf-8")
    (tmp_path / "docs/reference/schemas/line.Gone.json").write_text("{}", "utf-8")
    assert generate_contract.main(["--check"], tmp_path) == 1
    said = capsys.readouterr().err
    assert "messages.md" in said
    assert "line.Gone.json" in said


def test_the_asyncapi_document_is_valid() -> None:
    standard = json.loads((Path(__file__).parent / "asyncapi-3.0.0.json").read_text("utf-8"))
    problems = [
        f"{e.json_path}: {e.message}" for e in Draft7Validator(standard).iter_errors(DOCUMENT)
    ]
    assert problems == []


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in references(each)]
    if isinstance(value, list):
        return [found for each in value for found in references(each)]
    return []


def test_every_reference_of_the_document_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > 300
    for reference in found:
        place: Any = DOCUMENT
        for token in reference.removeprefix("#/").split("/"):
            assert token in place, reference
            place = place[token]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "docs/reference/schemas").glob("*.json")), ids=lambda file: file.stem
)
def test_every_golden_obeys_its_published_schema(file: Path) -> None:
    schema = json.loads(file.read_text("utf-8"))
    Draft202012Validator.check_schema(schema)
    area, name = file.stem.split(".")
    goldens = [
        golden
        for golden in EXAMPLES.glob(f"{area}.{snake(name)}*.json")
        if re.fullmatch(rf"{area}\.{snake(name)}(\.\d+)?", golden.stem)
    ]
    assert goldens, f"no golden of {file.stem}"
    validator = Draft202012Validator(schema)
    for golden in goldens:
        values = json.loads(golden.read_text("utf-8"))
        assert [error.message for error in validator.iter_errors(values)] == []
        described = schema["$defs"][schema["$ref"].rpartition("/")[2]]
        values[next(iter(described["properties"]))] = {"of no": "such type"}
        assert list(validator.iter_errors(values)), "a schema that accepts everything"


def test_every_message_travels_on_some_channel() -> None:
    travelling = {kind for c in channels() for kind in (*c.messages, *c.replies)}
    for module in (callers, calls, commands, line, placement, todos):
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, Struct)
                and kind.__module__ == module.__name__
                and kind.__name__ not in PARTS
            ):
                assert kind in travelling, f"{kind.__name__} is in no channel"


def test_no_two_channels_share_an_address() -> None:
    addresses = [channel.address for channel in channels()]
    assert len(addresses) == len(set(addresses))
    names = [channel.name for channel in channels()]
    assert len(names) == len(set(names))
