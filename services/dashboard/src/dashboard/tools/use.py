"""How tools did in the calls on the board, and what the page says of each (pure)."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from math import ceil

from msgspec import Struct, field

from dashboard.live.board import Row
from runtime.discovery import Counted, Served, agreed


class Use(Struct):
    """Calls of one tool by callers. ``failed`` counts timeouts too; ``waiting`` has no answer yet.
    ``took_ms`` are those that were answered.
    """

    calls: int = 0
    failed: int = 0
    waiting: int = 0
    took_ms: list[int] = field(default_factory=list[int])

    @property
    def p95_ms(self) -> int | None:
        """The time that 95 of 100 answers took at most."""
        if not self.took_ms:
            return None
        return sorted(self.took_ms)[ceil(0.95 * len(self.took_ms)) - 1]


class Group(Struct, frozen=True):
    """The processes of one version of a service, and the requests they counted."""

    service: str
    version: str
    instances: tuple[str, ...]
    requests: int
    errors: int


class Tool(Struct, frozen=True):
    """One tool. ``refused``: two services serve it, so workers use neither. ``groups`` is empty
    for one that calls used and nobody serves.
    """

    name: str
    description: str
    schema: str
    groups: tuple[Group, ...]
    refused: bool
    use: Use
    assistants: tuple[str, ...]

    @property
    def requests(self) -> int:
        return sum(group.requests for group in self.groups)

    @property
    def instances(self) -> int:
        return sum(len(group.instances) for group in self.groups)


def used(rows: Iterable[Row]) -> dict[str, Use]:
    """By tool, what the calls on the board say."""
    found: dict[str, Use] = {}
    for row in rows:
        for one in row.state.tools:
            use = found.setdefault(one.name, Use())
            use.calls += 1
            if one.outcome is None:
                use.waiting += 1
                continue
            use.failed += one.outcome != "ok"
            use.took_ms.append(one.took_ms)
    return found


def tools(
    served: Iterable[Served],
    counts: Mapping[tuple[str, str], Counted],
    uses: Mapping[str, Use],
    wanted: Mapping[str, tuple[str, ...]],
) -> tuple[Tool, ...]:
    """Every tool that is served, was used, or that a profile names, by name. ``wanted``: by tool,
    the assistants that may call it.
    """
    by_name: dict[str, list[Served]] = {}
    for one in served:
        by_name.setdefault(one.tool.name, []).append(one)
    _, refused = agreed(one for ones in by_name.values() for one in ones)
    return tuple(
        Tool(
            name,
            by_name[name][0].tool.description if name in by_name else "",
            by_name[name][0].tool.parameters if name in by_name else "",
            _groups(by_name.get(name, []), counts),
            name in refused,
            uses.get(name, Use()),
            wanted.get(name, ()),
        )
        for name in sorted({*by_name, *uses, *wanted})
    )


def _groups(served: list[Served], counts: Mapping[tuple[str, str], Counted]) -> tuple[Group, ...]:
    def kind(one: Served) -> tuple[str, str]:
        return (one.service, one.version)

    found: list[Group] = []
    for (service, version), ones in groupby(sorted(served, key=kind), kind):
        mine = list(ones)
        counted = [counts.get((one.instance, one.tool.name), Counted(0, 0)) for one in mine]
        found.append(
            Group(
                service,
                version,
                tuple(sorted(one.instance for one in mine)),
                sum(one.requests for one in counted),
                sum(one.errors for one in counted),
            )
        )
    return tuple(found)
