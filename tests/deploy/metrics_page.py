"""What docs/metrics.md says there is, and what the code makes: shared by the tests of both."""

import ast
import functools
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/metrics.md"
KINDS = {"Counter", "Gauge", "Histogram", "Summary", "Info", "Enum"}


class Metric(NamedTuple):
    """``name`` as a scrape shows it, without the suffixes of a histogram."""

    name: str
    labels: tuple[str, ...]
    kind: str = ""
    services: tuple[str, ...] = ()


def on_the_page() -> list[Metric]:
    """The rows of the page's tables, with the services that the section names."""
    found: list[Metric] = []
    for section in re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        named = re.search(r"^In (`.*)\.$", section, re.MULTILINE)
        if named is None:
            continue
        services = tuple(re.findall(r"`([a-z-]+)`", named[1]))
        for row in re.findall(r"^\| `trunkline_.*\|$", section, re.MULTILINE):
            name, labels, tells, _ = (cell.strip() for cell in row[1:-1].split("|"))
            assert tells, row
            found.append(
                Metric(name.strip("` "), tuple(re.findall(r"`(\w+)`", labels)), services=services)
            )
    return found


@functools.cache
def in_the_code() -> list[Metric]:
    """Every metric that a source file of the services and libraries makes."""
    found: list[Metric] = []
    for folder in ("libs", "services"):
        for file in sorted((ROOT / folder).glob("*/src/**/*.py")):
            text = file.read_text("utf-8")
            if "prometheus_client" in text:
                found += _made(ast.parse(text))
    return found


def _made(tree: ast.AST) -> list[Metric]:
    found: list[Metric] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), _, *rest]
            ) if kind in KINDS:
                labels = ast.literal_eval(rest[0]) if rest else []
                found.append(Metric(name, tuple(labels), kind))
            case _:
                pass
    return found
