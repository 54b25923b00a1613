"""``@tool``: a typed async function becomes a tool that a model can be offered and a request can
call. Used by modules that define tools; it knows neither NATS nor the database.
"""

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar, overload

from msgspec import Struct

from tool_runner.arguments import Arguments

Function = Callable[..., Awaitable[Struct]]
F = TypeVar("F", bound=Function)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_ARGUMENT = re.compile(r"(\w+):\s*(.*)")


class Failed(Struct, frozen=True, tag_field="status", tag="failed"):
    """What the model is told when a tool did not do it: ``{"status":"failed","message":...}``."""

    message: str


class Tool(Struct, frozen=True):
    """A function as a tool. ``read_only``: it changes nothing, so its results are not stored."""

    name: str
    description: str
    arguments: Arguments
    function: Function
    read_only: bool

    async def run(self, context: Any, values: dict[str, Any]) -> Struct:
        """Call the function with checked values (see Arguments.read)."""
        return await self.function(context, **values)


class Catalog:
    """The tools that were defined with ``@catalog.tool``, by name."""

    def __init__(self) -> None:
        self._tools: dict[str, Tool] = {}

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(self, /, *, read_only: bool = False) -> Callable[[F], F]: ...

    def tool(self, function: Function | None = None, /, *, read_only: bool = False) -> Any:
        """Decorator: ``@tool``, or ``@tool(read_only=True)`` for one that changes nothing.

        The function is async; its first parameter is the context and not shown to the model. Name
        and types come from the signature; the text of the docstring describes the tool, and its
        ``Args:`` section each argument. Raises TypeError when any of it is missing and ValueError
        for a double name: a mistake shows at import, not on a call.
        """

        def add(function: Function) -> Function:
            tool = _tool(function, read_only)
            if tool.name in self._tools:
                raise ValueError(f"two tools are named {tool.name}")
            self._tools[tool.name] = tool
            return function

        return add if function is None else add(function)


def _tool(function: Function, read_only: bool) -> Tool:
    name = getattr(function, "__name__", "")
    if not _NAME.match(name):
        raise TypeError(f"a tool's name is a-z, 0-9 and _, not {name!r}")
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"tool {name} is not an async function")
    description, documented = _docstring(inspect.getdoc(function) or "")
    if not description:
        raise TypeError(f"tool {name} has no docstring; the model reads it")
    return Tool(name, description, Arguments(function, documented), function, read_only)


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description (one line a paragraph) and what the ``Args:`` section says of each name."""
    body, _, section = text.partition("\nArgs:\n")
    description = "\n".join(" ".join(part.split()) for part in body.split("\n\n")).strip()
    documented: dict[str, str] = {}
    name = ""
    lines = inspect.cleandoc(section).splitlines() if section else []
    for line in lines:
        start = _ARGUMENT.match(line)
        if start is not None:
            name, documented[start[1]] = start[1], start[2]
        elif line.strip() and name:
            documented[name] += " " + line.strip()
    return description, documented
