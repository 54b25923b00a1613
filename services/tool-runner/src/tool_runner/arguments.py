"""The arguments of a tool: their JSON Schema for the model and the check of what it sent, both
from the same type hints. Made by catalog. Pure.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast, get_type_hints

import msgspec
from msgspec import Meta

_MOST_NAMED = 40


class BadArguments(Exception):
    """The arguments cannot be used; the text says which and what is expected, for the model."""


class Arguments:
    """What one function takes after its context."""

    def __init__(self, function: Callable[..., Any], documented: Mapping[str, str]) -> None:
        """``documented`` describes each argument. Raises TypeError when an argument is not a
        named one, has no type or description, or a type that JSON Schema cannot say flat.
        """
        name = getattr(function, "__name__", "")
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())[1:]
        if sorted(documented) != sorted(p.name for p in parameters):
            raise TypeError(f"the Args section of tool {name} must name exactly its arguments")
        self._types: dict[str, Any] = {}
        fields: list[Any] = []
        for parameter in parameters:
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise TypeError(f"tool {name} takes *args, **kwargs or positional-only arguments")
            if parameter.name not in hints:
                raise TypeError(f"argument {parameter.name} of tool {name} has no type")
            hint = hints[parameter.name]
            self._types[parameter.name] = hint
            described = Annotated[hint, Meta(description=documented[parameter.name])]
            default = () if parameter.default is parameter.empty else (parameter.default,)
            fields.append((parameter.name, described, *default))
        struct = msgspec.defstruct(name, fields, forbid_unknown_fields=True, kw_only=True)
        components = cast("dict[str, Any]", msgspec.json.schema(struct)["$defs"])
        if len(components) != 1:
            raise TypeError(f"tool {name} takes structs; plain values are what models fill in well")
        schema: dict[str, Any] = components[name]
        del schema["title"]
        for argument in schema["properties"].values():
            _type_enums(argument)
        self.schema = schema
        """JSON Schema of the arguments: an object without additional properties."""

    def read(self, payload: bytes) -> dict[str, Any]:
        """The values in ``payload`` (a JSON object; nothing counts as ``{}``), each of its type.

        Raises BadArguments that names every argument at fault.
        """
        try:
            given: Any = msgspec.json.decode(payload or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadArguments("the arguments are not valid JSON") from None
        if not isinstance(given, dict):
            raise BadArguments("the arguments must be a JSON object")
        sent = cast("dict[str, Any]", given)
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, hint in self._types.items():
            if name not in sent:
                if name in self.schema.get("required", ()):
                    problems.append(f"{name} is missing; it must be {self._expected(name)}")
                continue
            try:
                values[name] = msgspec.convert(sent[name], hint)
            except msgspec.ValidationError:
                problems.append(f"{name} must be {self._expected(name)}")
        unknown = [name[:_MOST_NAMED] for name in sent if name not in self._types]
        if unknown:
            takes = ", ".join(self._types) or "no arguments"
            problems.append(f"{unknown[0]} is no argument of this tool, which takes {takes}")
        if problems:
            raise BadArguments("; ".join(problems))
        return values

    def _expected(self, name: str) -> str:
        return _phrase(self.schema["properties"][name])


def _type_enums(schema: dict[str, Any]) -> None:
    # msgspec leaves the type out where enum says it all; models do better with both.
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        schema["type"] = "string"
    for inner in schema.get("anyOf", ()):
        _type_enums(inner)


def _phrase(schema: Mapping[str, Any]) -> str:
    """What a value of ``schema`` is, in words that follow "must be"."""
    match schema:
        case {"anyOf": choices}:
            return " or ".join(_phrase(choice) for choice in choices)
        case {"enum": values}:
            return "one of " + ", ".join(msgspec.json.encode(value).decode() for value in values)
        case {"format": "date"}:
            return "a date as YYYY-MM-DD"
        case {"type": "integer" | "number" as kind}:
            words = "a whole number" if kind == "integer" else "a number"
            for key, bound in (("minimum", "from"), ("maximum", "up to")):
                words += f" {bound} {schema[key]}" if key in schema else ""
            return words
        case {"type": "boolean"}:
            return "true or false"
        case {"type": "null"}:
            return "null"
        case {"type": "array"}:
            return "a list"
        case {"type": "string"}:
            words = "a text"
            for key, bound in (("minLength", "at least"), ("maxLength", "at most")):
                words += f" of {bound} {schema[key]} characters" if key in schema else ""
            return words
        case _:
            return "as the schema says"
