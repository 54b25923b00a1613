"""Renders what is written down once in the Settings structs: .env.example and the README's table.

Run by hand after a setting changed; ``--check`` changes nothing and says what is out of date. A
test calls it.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast, get_type_hints

import msgspec

from runtime.settings import CommonSettings, Secret, describe

ROOT = Path(__file__).parents[1]
SERVICES = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
START, END = "<!-- settings:start -->", "<!-- settings:end -->"
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
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise ValueError(f"README.md needs the markers {START} and {END}")
    return f"{before}{START}\n{table(found)}\n{END}{after}"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Write both files, or with ``--check`` compare them. Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; 1 when out of date")
    check: bool = parser.parse_args(arguments).check
    found = settings()
    readme_file, env_file = root / "README.md", root / ".env.example"
    old = readme_file.read_text("utf-8") if readme_file.exists() else f"{START}\n{END}\n"
    stale = 0
    for file, wanted in ((env_file, env_example(found)), (readme_file, readme(old, found))):
        if file.exists() and file.read_text("utf-8") == wanted:
            continue
        stale += 1
        if check:
            sys.stderr.write(f"{file.name} is out of date: run scripts/generate.py\n")
        else:
            file.write_text(wanted, encoding="utf-8")
            sys.stdout.write(f"{file.name} written\n")
    return 1 if check and stale else 0


def _readers(setting: Setting) -> str:
    if len(setting.services) == len(SERVICES):
        return "all services"
    return ", ".join(setting.services)


def _shown(field: msgspec.structs.FieldInfo) -> str | None:
    if field.required:
        return None
    value: Any = (
        field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    )
    if isinstance(value, Secret):
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, tuple):
        parts = cast("tuple[object, ...]", value)
        return ",".join("" if isinstance(part, Secret) else str(part) for part in parts)
    return "" if value is None else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
