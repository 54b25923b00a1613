"""Processor time of a system's processes, from the operating system's accounting (Linux)."""

import os
from collections.abc import Mapping
from pathlib import Path

_TICK_MS = 1000 / os.sysconf("SC_CLK_TCK")


class CpuMeter:
    """Measures from its making on; `spent_ms` gives ms of CPU by process name."""

    def __init__(self, processes: Mapping[str, int]) -> None:
        self._processes = processes
        self._before = {name: _cpu_ms(pid) for name, pid in processes.items()}

    def spent_ms(self) -> dict[str, float]:
        """CPU ms (user and system) since the start; empty where /proc does not tell."""
        spent: dict[str, float] = {}
        for name, pid in self._processes.items():
            before, now = self._before[name], _cpu_ms(pid)
            if before is not None and now is not None:
                spent[name] = now - before
        return spent


def _cpu_ms(pid: int) -> float | None:
    try:
        # The second field, the program's name in brackets, may hold spaces.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) * _TICK_MS


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of them lie; 0 for none."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
