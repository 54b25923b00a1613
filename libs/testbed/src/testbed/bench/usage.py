"""What a process has used, as the operating system accounts it."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PSS = re.compile(r"^Pss:\s+(\d+) kB$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU of all threads since the start (s), proportional resident memory (KiB)."""

    cpu_s: float
    memory_kib: int


def usage(pid: int) -> Usage:
    """Of a running process; 10 ms is the grain of its CPU. Raises OSError when it has ended."""
    folder = Path(f"/proc/{pid}")
    # The second field, the name, may hold spaces; what follows the last bracket is numbers.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    found = _PSS.search((folder / "smaps_rollup").read_text())
    return Usage(ticks / _TICKS, int(found[1]) if found else 0)
