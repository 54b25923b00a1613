"""Named SQL statements from .sql files beside the code. Repositories load theirs once, when made.

A file is a sequence of blocks, each opened by ``-- name: <name>`` on a line of its own.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_MARK = "-- name:"


@cache
def load(package: str, file: str) -> Mapping[str, str]:
    """The statements of ``file`` in ``package`` by name. Raises ValueError for a broken file."""
    return MappingProxyType(parse((files(package) / file).read_text(encoding="utf-8")))


def parse(text: str) -> dict[str, str]:
    """The blocks of ``text`` by name; comments stay, the closing semicolon goes.

    Raises ValueError for a statement before the first name, a double name or an empty block.
    """
    head, *blocks = ("\n" + text).split("\n" + _MARK)
    if any(line.strip() and not line.lstrip().startswith("--") for line in head.splitlines()):
        raise ValueError("a statement stands before the first '-- name:'")
    statements: dict[str, str] = {}
    for block in blocks:
        name, _, body = block.partition("\n")
        name, statement = name.strip(), body.strip().rstrip(";").rstrip()
        if not name.isidentifier() or not statement:
            raise ValueError(f"block {name!r} needs a plain name and a statement")
        if name in statements:
            raise ValueError(f"two statements are named {name!r}")
        statements[name] = statement
    return statements
