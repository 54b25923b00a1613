"""What a process has used, as the operating system accounts it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_ANONYMOUS = re.compile(r"^Anonymous:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU of all threads since the start (s), memory of its own (KiB): heap and stacks, no files,
    whose share changes with every other process that maps them.
    """

    cpu_s: float
    memory_kib: int


def usage(pid: int) -> Usage:
    """Of a running process. Raises OSError when it has ended."""
    folder = Path(f"/proc/{pid}")
    found = _ANONYMOUS.search((folder / "smaps_rollup").read_text())
    return Usage(cpu_s(folder), int(found[1]) if found else 0)


def cpu_s(folder: Path) -> float:
    """CPU by a process's folder in /proc: its scheduler's nanoseconds, or ticks of 10 ms."""
    # `stat` has the threads that ended but rounds down to ticks; `schedstat` is exact but has only
    # those alive. Neither says more than was used, so the greater is the better.
    return max(_ticks_s(folder), _scheduled_s(folder))


def _ticks_s(folder: Path) -> float:
    # The second field, the name, may hold spaces; what follows the last bracket is numbers.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _scheduled_s(folder: Path) -> float:
    """0 where the kernel keeps no such statistics."""
    nanoseconds = 0
    for task in (folder / "task").glob("*"):
        try:
            nanoseconds += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):  # the thread ended meanwhile, or there is no such file
            continue
    return nanoseconds / 1e9
