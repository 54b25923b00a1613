"""A tool's JSON schema as the fields of a form, and a form's texts as the tool's arguments (pure).

What no field can hold (objects, lists, alternatives) is typed as JSON. A schema that describes no
properties is one field for the whole object. The tool checks its arguments itself; here only what
cannot be sent at all is refused.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

Kind = Literal["text", "day", "integer", "number", "flag", "choice", "json"]
PREFIX = "a."
"""Before a field's name in a form, so that no argument is taken for a field of ours."""
WHOLE = ""
"""Name of the field that holds the whole object."""
MOST_DIGITS = 400
_KINDS: dict[str, Kind] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "flag",
}
_UNREADABLE = (msgspec.DecodeError, RecursionError)


class Field(Struct, frozen=True):
    """One argument. ``choices`` are JSON texts, because a choice may be a number."""

    name: str
    kind: Kind
    required: bool = False
    about: str = ""
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name in a form."""
        return PREFIX + self.name

    def shown(self, choice: str) -> str:
        """A choice for people: a text without its quotation marks."""
        value = msgspec.json.decode(choice)
        return value if isinstance(value, str) else choice


def fields_of(schema: str) -> tuple[Field, ...]:
    """The fields for a schema; one for the whole object when it names no properties."""
    whole = (Field(WHOLE, "json", required=True, about="The arguments as a JSON object."),)
    try:
        found: object = msgspec.json.decode(schema)
    except _UNREADABLE:
        return whole
    described = _object(found)
    properties = _object(described.get("properties"))
    if not properties or any(key in described for key in ("anyOf", "oneOf", "allOf", "$ref")):
        closed = described.get("additionalProperties") is False
        return () if closed and not properties else whole
    given = described.get("required")
    required = cast("list[object]", given) if isinstance(given, list) else []
    return tuple(
        _field(name, _object(about), required=name in required)
        for name, about in properties.items()
    )


def pretty(schema: str) -> str:
    """A schema's JSON with line breaks."""
    try:
        return msgspec.json.format(schema, indent=2)
    except _UNREADABLE:
        return schema


def read(
    fields: tuple[Field, ...], form: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """The arguments, and by the field's name what is wrong; a field left empty is left out."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields:
        text = form.get(field.key, "")
        if not text.strip():
            if field.required:
                problems[field.name] = "This is needed."
            continue
        try:
            value = _value(field, text)
        except ValueError as error:
            problems[field.name] = str(error)
            continue
        if field.name != WHOLE:
            values[field.name] = value
        elif isinstance(value, dict):
            values.update(cast("dict[str, Any]", value))
        else:
            problems[WHOLE] = 'This is no JSON object, like {"day": "today"}.'
    return values, problems


def _field(name: str, about: dict[str, Any], *, required: bool) -> Field:
    described = about.get("description")
    words = described if isinstance(described, str) else ""
    choices = about.get("enum")
    if isinstance(choices, list) and choices:
        listed = cast("list[object]", choices)
        texts = tuple(msgspec.json.encode(choice).decode() for choice in listed)
        return Field(name, "choice", required, words, texts)
    kind = about.get("type")
    if isinstance(kind, list):
        named = [one for one in cast("list[object]", kind) if one != "null"]
        kind = named[0] if len(named) == 1 else None
    if kind == "string" and about.get("format") == "date":
        return Field(name, "day", required, words)
    found = _KINDS.get(kind, "json") if isinstance(kind, str) else "json"
    return Field(name, found, required, words)


def _value(field: Field, text: str) -> object:
    match field.kind:
        case "text":
            return text
        case "day":
            try:
                return date.fromisoformat(text.strip()).isoformat()
            except ValueError:
                raise ValueError("This is no day, like 2026-11-24.") from None
        case "flag":
            if text not in {"true", "false"}:
                raise ValueError("Choose yes or no.")
            return text == "true"
        case "choice":
            if text not in field.choices:
                raise ValueError("Choose one of the list.")
        case "integer" | "number":
            return _number(field.kind, text.strip())
        case "json":
            pass
    try:
        return msgspec.json.decode(text)
    except _UNREADABLE:
        raise ValueError("This is no JSON.") from None


def _number(kind: Kind, text: str) -> int | float:
    try:
        number = msgspec.json.decode(text, type=int if kind == "integer" else int | float)
    except _UNREADABLE:
        number = None
    if number is None or len(text) > MOST_DIGITS:
        raise ValueError("This is no whole number." if kind == "integer" else "This is no number.")
    return number


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
