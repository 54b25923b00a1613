"""Renders what is written down once in the code: .env.example and the README's table from the
Settings structs, the tables of docs/assistants.md from the profile's.

Run by hand after a setting or a profile key changed; ``--check`` changes nothing and says what is
out of date. A test calls it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from runtime.assistant import Assistant
from runtime.settings import CommonSettings, Secret, describe

ROOT = Path(__file__).parents[1]
SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
START, END = "<!-- settings:start -->", "<!-- settings:end -->"
PROFILE_START, PROFILE_END = "<!-- profile:start -->", "<!-- profile:end -->"
PROFILE_PAGE = Path("docs/assistants.md")
HEADER = """\
# Settings of Trunkline, made by scripts/generate.py from the services' Settings structs.
# Copy to .env and fill in. A variable that stands empty counts as not set; lists are separated
# by commas.
"""


class Setting(msgspec.Struct):
    """One variable, and who reads it. ``default`` None: required."""

    variable: str
    description: str
    default: str | None
    services: list[str]


def settings() -> list[Setting]:
    """Every variable once: first what all services read, then by service in the order of a call."""
    found: dict[str, Setting] = {}
    for service in SERVICES:
        kind = import_module(f"{service.replace('-', '_')}.settings").Settings
        hints = get_type_hints(kind, include_extras=True)
        common = {field.name for field in msgspec.structs.fields(CommonSettings)}
        fields = msgspec.structs.fields(kind)
        for field in sorted(fields, key=lambda field: field.name not in common):
            variable = field.name.upper()
            setting = Setting(
                variable, describe(hints[field.name]), _shown(field), services=[service]
            )
            known = found.setdefault(variable, setting)
            if known is setting:
                continue
            known.services.append(service)
            if known.default != setting.default:
                raise ValueError(f"{variable} has different defaults in {known.services}")
    # Stable: variables keep the order in which they were found.
    return sorted(found.values(), key=lambda setting: len(setting.services) < len(SERVICES))


def env_example(found: Sequence[Setting]) -> str:
    """The text of .env.example: required variables stand bare, the others as comments."""
    lines = [HEADER.rstrip()]
    group = ""
    for setting in found:
        if (names := _readers(setting)) != group:
            group = names
            lines += ["", f"# -- {names}"]
        lines += ["", f"# {setting.description}"]
        if setting.default is None:
            lines.append(f"{setting.variable}=")
        else:
            lines.append(f"# {setting.variable}={setting.default}")
    return "\n".join(lines) + "\n"


def table(found: Sequence[Setting]) -> str:
    """The README's table in Markdown."""
    rows = ["| variable | default | read by | meaning |", "|---|---|---|---|"]
    for setting in found:
        default = "**required**" if setting.default is None else f"`{setting.default}`"
        cells = [
            f"`{setting.variable}`",
            "" if setting.default == "" else default,
            _readers(setting),
            setting.description,
        ]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def readme(text: str, found: Sequence[Setting]) -> str:
    """``text`` with the table between its markers. Raises ValueError when a marker is missing."""
    return _between("README.md", text, START, END, table(found))


class ProfileKey(msgspec.Struct):
    """One key of a profile. ``default`` and ``example`` as TOML; ``default`` None: required."""

    name: str
    kind: str
    default: str | None
    meaning: str
    example: str
    hint: Any


class ProfileTable(msgspec.Struct):
    """The keys of the top level (``header`` is empty) or below one header of the TOML file."""

    header: str
    meaning: str
    keys: list[ProfileKey]


def profile(kind: type[Struct] = Assistant, header: str = "") -> list[ProfileTable]:
    """Every key of a profile: the top level first, then each table in the struct's order."""
    own = ProfileTable(header, " ".join((kind.__doc__ or "").split()), [])
    below: list[ProfileTable] = []
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        if (table_of := _table(hint)) is not None:
            brackets = "[[{}]]" if get_origin(hint) is tuple else "[{}]"
            below += profile(table_of, brackets.format(field.name))
            continue
        value = None if field.required else _default(field)
        default = None if field.required else _toml(value)
        kind_ = _kind(hint)
        example = _toml(_example(hint, value))
        if kind_ == "date":  # stands bare in TOML
            example = example.strip('"')
        own.keys.append(ProfileKey(field.name, kind_, default, describe(hint), example, hint))
    return [own, *below]


def profile_tables(found: Sequence[ProfileTable]) -> str:
    """The tables of docs/assistants.md in Markdown."""
    parts: list[str] = []
    for table_ in found:
        if table_.header:
            parts += [f"### `{table_.header}`", "", table_.meaning.replace("``", "`"), ""]
        parts += ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
        for key in table_.keys:
            default = "**required**" if key.default is None else key.default and f"`{key.default}`"
            example = f"`{key.name} = {key.example}`"
            cells = [f"`{key.name}`", key.kind, default, key.meaning.replace("``", "`"), example]
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts).rstrip()


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write the files, or with ``--check`` compare them. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when out of date")
    check: bool = parser.parse_args(arguments).check
    found = settings()
    readme_file, env_file = root / "README.md", root / ".env.example"
    page_file = root / PROFILE_PAGE
    page = _between(
        page_file.name,
        _read(page_file, f"{PROFILE_START}\n{PROFILE_END}\n"),
        PROFILE_START,
        PROFILE_END,
        profile_tables(profile()),
    )
    old = _read(readme_file, f"{START}\n{END}\n")
    stale = 0
    for file, wanted in (
        (env_file, env_example(found)),
        (readme_file, readme(old, found)),
        (page_file, page),
    ):
        if file.exists() and file.read_text("utf-8") == wanted:
            continue
        stale += 1
        if check:
            sys.stderr.write(f"{file.name} is out of date: run scripts/generate.py\n")
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text(wanted, encoding="utf-8")
            sys.stdout.write(f"{file.name} written\n")
    return 1 if check and stale else 0


def _read(file: Path, otherwise: str) -> str:
    return file.read_text("utf-8") if file.exists() else otherwise


def _between(name: str, text: str, start: str, end: str, made: str) -> str:
    before, found_start, rest = text.partition(start)
    _, found_end, after = rest.partition(end)
    if not found_start or not found_end:
        raise ValueError(f"{name} needs the markers {start} and {end}")
    return f"{before}{start}\n{made}\n{end}{after}"


def _readers(setting: Setting) -> str:
    if len(setting.services) == len(SERVICES):
        return "all services"
    return ", ".join(setting.services)


def _shown(field: msgspec.structs.FieldInfo) -> str | None:
    if field.required:
        return None
    value = _default(field)
    if isinstance(value, Secret):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        parts = cast("tuple[object, ...]", value)
        return ",".join("" if isinstance(part, Secret) else str(part) for part in parts)
    return "" if value is None else str(value)


def _default(field: msgspec.structs.FieldInfo) -> Any:
    made = field.default_factory
    return field.default if made is msgspec.NODEFAULT else made()


def _metas(hint: Any) -> Iterator[Meta]:
    if get_origin(hint) is Annotated:
        yield from (extra for extra in get_args(hint)[1:] if isinstance(extra, Meta))


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _table(hint: Any) -> type[Struct] | None:
    bare = _bare(hint)
    if get_origin(bare) is tuple:
        bare = get_args(bare)[0]
    return bare if isinstance(bare, type) and issubclass(bare, Struct) else None


def _kind(hint: Any) -> str:
    """A type in words, with its bounds."""
    bare = _bare(hint)
    if get_origin(bare) is Literal:
        return ", ".join(f"`{_toml(value)}`" for value in get_args(bare))
    if get_origin(bare) is tuple:
        return f"list of {_kind(get_args(bare)[0])}"
    if isinstance(bare, UnionType):
        return " or ".join(_kind(one) for one in get_args(bare) if one is not NoneType)
    words = {str: "text", bool: "`true`, `false`", int: "whole number", float: "number"}
    kind = words.get(bare, "table" if get_origin(bare) is dict else getattr(bare, "__name__", ""))
    bounds: list[str] = []
    for meta in _metas(hint):
        if meta.ge is not None:
            bounds.append(f"from {meta.ge:g}")
        if meta.le is not None:
            bounds.append(f"to {meta.le:g}")
        if meta.max_length is not None:
            bounds.append(f"at most {meta.max_length} characters")
        if meta.pattern is not None:
            bounds.append(f"`{meta.pattern}`")
    between = " " if kind in ("number", "whole number") else ", "
    return between.join([kind, *bounds])


def _example(hint: Any, default: Any) -> Any:
    """The example of the annotation; else another value than the default, where that is easy."""
    for meta in _metas(hint):
        if meta.examples:
            return meta.examples[0]
    if get_origin(_bare(hint)) is Literal:
        return next(value for value in get_args(_bare(hint)) if value != default)
    return not default if isinstance(default, bool) else default


def _toml(value: Any) -> str:
    """A value as it stands in a TOML file."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        shown = ", ".join(f"{key} = {_toml(each)}" for key, each in pairs)
        return f"{{ {shown} }}" if shown else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in cast("list[Any]", value)) + "]"
    return str(value) if isinstance(value, int | float) else msgspec.json.encode(value).decode()


if __name__ == "__main__":
    raise SystemExit(main())
