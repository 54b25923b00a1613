"""``@tool``: names, descriptions and schemas from plain functions; mistakes show at import."""

import datetime as dt
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from tool_runner.arguments import Arguments, BadArguments
from tool_runner.catalog import Catalog


class Done(Struct):
    pass


class Nested(Struct):
    x: int


async def everything(
    context: object,
    size: Literal["s", "m"],
    day: dt.date,
    count: Annotated[int, Meta(ge=1, le=9)],
    share: float,
    sure: bool = False,
    note: Annotated[str, Meta(max_length=5)] | None = None,
    *,
    tags: list[str] = [],  # noqa: B006 -- never changed
) -> Done:
    """Do everything
    at once.

    Second paragraph.

    Args:
        size: How big.
        day: When,
            exactly.
        count: How many.
        share: How much.
        sure: Whether: yes or no.
        note: What else.
        tags: Words.
    """
    return Done()


def catalog(*functions: Any) -> Catalog:
    made = Catalog()
    for function in functions:
        made.tool(function)
    return made


def test_name_description_and_schema_come_from_the_function() -> None:
    tool = catalog(everything)["everything"]
    assert (tool.name, tool.read_only) == ("everything", False)
    assert tool.description == "Do everything at once.\nSecond paragraph."
    assert tool.arguments.schema == {
        "type": "object",
        "properties": {
            "size": {"type": "string", "enum": ["m", "s"], "description": "How big."},
            "day": {"type": "string", "format": "date", "description": "When, exactly."},
            "count": {
                **{"type": "integer", "minimum": 1, "maximum": 9},
                "description": "How many.",
            },
            "share": {"type": "number", "description": "How much."},
            "sure": {"type": "boolean", "default": False, "description": "Whether: yes or no."},
            "note": {
                "anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}],
                "default": None,
                "description": "What else.",
            },
            "tags": {
                **{"type": "array", "items": {"type": "string"}, "default": []},
                "description": "Words.",
            },
        },
        "required": ["size", "day", "count", "share"],
        "additionalProperties": False,
    }


def test_the_decorator_gives_the_function_back_bare_or_with_options() -> None:
    made = Catalog()
    assert made.tool(everything) is everything

    @made.tool(read_only=True)
    async def look(context: object) -> Done:
        """Look."""
        return Done()

    assert [(tool.name, tool.read_only) for tool in made] == [
        *(("everything", False), ("look", True))
    ]
    assert made["look"].arguments.schema["properties"] == {}
    assert made["look"].arguments.read(b"") == {}


def test_two_tools_of_one_name_fail_at_once() -> None:
    with pytest.raises(ValueError, match="two tools are named everything"):
        catalog(everything, everything)


async def undocumented(context: object) -> Done:
    return Done()


async def untyped(context: object, x) -> Done:  # type: ignore[no-untyped-def]
    """Do.

    Args:
        x: It.
    """
    return Done()


async def missing(context: object, x: int) -> Done:
    """Do."""
    return Done()


async def stale(context: object) -> Done:
    """Do.

    Args:
        gone: It.
    """
    return Done()


async def open_ended(context: object, **more: int) -> Done:
    """Do.

    Args:
        more: It.
    """
    return Done()


async def nested(context: object, x: Nested) -> Done:
    """Do.

    Args:
        x: It.
    """
    return Done()


def plain(context: object) -> Done:
    """Do."""
    return Done()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (undocumented, "has no docstring"),
        (untyped, "argument x of tool untyped has no type"),
        (missing, "Args section of tool missing must name exactly"),
        (stale, "Args section of tool stale must name exactly"),
        (open_ended, "tool open_ended takes"),
        (nested, "tool nested takes structs"),
        (plain, "plain is not an async function"),
        (lambda context: None, "a tool's name"),
    ],
)
def test_a_mistake_in_a_tool_fails_at_import(function: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        catalog(function)


GOOD = b'{"size":"s","day":"2026-02-28","count":9,"share":1,"note":null}'


def read(payload: bytes) -> dict[str, Any]:
    return catalog(everything)["everything"].arguments.read(payload)


def test_values_are_read_as_their_types_and_defaults_are_left_to_the_function() -> None:
    assert read(GOOD) == {
        **{"size": "s", "day": dt.date(2026, 2, 28), "count": 9, "share": 1.0},
        "note": None,
    }
    assert isinstance(read(GOOD)["share"], float)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b'"s"', b'"xl"', 'size must be one of "m", "s"'),
        (b'"s"', b"1", 'size must be one of "m", "s"'),
        (b"2026-02-28", b"2026-02-29", "day must be a date as YYYY-MM-DD"),
        (b"2026-02-28", b"2026-02-28T10:00:00", "day must be a date as YYYY-MM-DD"),
        (b"9", b"10", "count must be a whole number from 1 up to 9"),
        (b"9", b'"9"', "count must be a whole number from 1 up to 9"),
        (b"9", b"9.5", "count must be a whole number from 1 up to 9"),
        (b"9", b"true", "count must be a whole number from 1 up to 9"),
        (b"null", b'"longer"', "note must be a text of at most 5 characters or null"),
        (b"null", b'null,"sure":"yes"', "sure must be true or false"),
        (b"null", b'null,"tags":"x"', "tags must be a list"),
        (b'"share":1,', b"", "share is missing; it must be a number"),
        (b'"note"', b'"notes"', "notes is no argument of this tool, which takes size, day"),
    ],
)
def test_a_bad_value_is_named_with_what_is_expected(old: bytes, new: bytes, words: str) -> None:
    assert GOOD.count(old) == 1
    with pytest.raises(BadArguments) as bad:
        read(GOOD.replace(old, new))
    assert str(bad.value).startswith(words)


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(BadArguments) as bad:
        read(b'{"size":"xl","count":0,"share":1,"x":1}')
    assert [part.split()[0] for part in str(bad.value).split("; ")] == [
        *("size", "day", "it", "count", "x")
    ]


@pytest.mark.parametrize(
    "payload",
    [b"{", b"\xff", b"[" * 100_000, b"[]", b"7", b"null", b'"text"', b'{"a":"\\ud800"}'],
)
def test_what_is_no_json_object_fails_in_words(payload: bytes) -> None:
    with pytest.raises(BadArguments, match=r"^the arguments (are not valid JSON|must be a JSON)"):
        read(payload)


def test_a_long_unknown_name_is_cut() -> None:
    arguments = Arguments(undocumented, {})
    with pytest.raises(BadArguments) as bad:
        arguments.read(b'{"' + b"x" * 100_000 + b'":1}')
    assert len(str(bad.value)) < 120
