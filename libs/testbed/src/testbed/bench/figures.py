"""Everything that a run measured: kept as JSON, shown as tables."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from testbed.bench.load import Measured
from testbed.bench.quantiles import Quantiles
from testbed.bench.table import acts_table, latency_table, others_table, talk_table

TARGET = 0.55
"""Ingress and agent together, of the relay."""


@dataclass
class Figures:
    """`calls` are those of the talk rows, `seconds` the measured time of a row."""

    machine: str = ""
    calls: int = 0
    seconds: float = 0.0
    took_s: float = 0.0
    rows: list[Measured] = field(default_factory=list[Measured])
    acts: dict[str, Quantiles] = field(default_factory=dict[str, Quantiles])
    """ms by what is done and what it leads to."""
    rates: dict[str, float] = field(default_factory=dict[str, float])
    starts: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds to ready."""
    left_out: list[str] = field(default_factory=list[str])
    """Sentences on rows that were asked for and could not be measured."""

    def best(self, name: str) -> Measured | None:
        """The cheapest of the talk rows of this name, of those that nothing disturbed if there are
        any: what else the machine does only adds.
        """
        found = [r for r in self.rows if r.name == name and r.calls == self.calls and not r.broke]
        return min(found, key=lambda row: (row.disturbed, row.path_cpu), default=None)

    @property
    def judged(self) -> tuple[Measured, Measured] | None:
        """Relay and ours, for a ratio; None when either was not measured."""
        relay, ours = self.best("relay"), self.best("trunkline")
        return (relay, ours) if relay and ours else None

    @property
    def disturbed(self) -> bool:
        """Whether the ratio says nothing, since something else had too much of the machine."""
        return any(row.disturbed for row in self.judged or ())

    def ratio(self) -> float | None:
        """Ingress and agent, of the relay; None when either was not measured."""
        if self.judged is None:
            return None
        relay, ours = self.judged
        return ours.path_cpu / relay.path_cpu

    @property
    def shown(self) -> list[Measured]:
        """The rows, yardsticks first and then ours by the number of calls."""

        def place(row: Measured) -> tuple[bool, str, int]:
            ours = "relay" not in row.cpu
            return (ours, row.name if ours else "", row.calls)

        return sorted(self.rows, key=place)

    def report(self) -> str:
        """The machine, the tables and the ratio, as Markdown."""
        parts = [f"{self.machine}; {self.seconds:g} s a row, {self.took_s:.0f} s in all."]
        if self.rows:
            parts += (talk_table(self.shown, self.best("relay")), latency_table(self.shown))
        if self.acts:
            parts.append(acts_table(self.acts))
        if self.rates or self.starts:
            parts.append(others_table(self.rates, self.starts))
        parts += self.left_out
        ratio = self.ratio()
        if ratio is not None:
            said = f"Ingress and agent take {ratio:.2f} of the relay (target {TARGET})."
            if self.disturbed:
                said += " The machine was too busy for that to count."
            elif any(row.invalid for row in self.judged or ()):
                said += " One of these two rows is invalid: measure again on a quiet machine."
            parts.append(said)
        return "\n\n".join(parts)

    def as_json(self) -> str:
        """To keep; `from_json` reads it."""
        return json.dumps(asdict(self), indent=1) + "\n"


def from_json(text: str) -> Figures:
    """What `as_json` wrote. Raises ValueError, TypeError or KeyError on anything else."""
    kept: dict[str, Any] = json.loads(text)
    kept["rows"] = [Measured(**row) for row in kept["rows"]]
    kept["acts"] = {what: Quantiles(**spread) for what, spread in kept["acts"].items()}
    return Figures(**kept)
