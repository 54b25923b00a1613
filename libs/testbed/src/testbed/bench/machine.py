"""What else the machine does meanwhile: a load beside the bench's own changes ratios, too, since
more processes suffer more from waiting for each other.
"""

import os
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU since the start (s): of the whole machine with what its host took away, and of one
    process and all that descend from it, those that ended too.
    """

    at: float
    machine_s: float
    own_s: float


def spent(pid: int, proc: Path = _PROC) -> Spent:
    """Now, with `pid` as the oldest of our own."""
    parents: dict[int, list[int]] = defaultdict(list)
    used: dict[int, int] = {}
    for folder in proc.glob("[0-9]*"):
        try:
            # After the name, which may hold spaces: state, parent, ..., utime, stime and both of
            # the children that ended.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parents[int(fields[1])].append(int(folder.name))
        used[int(folder.name)] = sum(int(field) for field in fields[11:15])
    ours, own = [pid], 0
    while ours:
        one = ours.pop()
        own += used.get(one, 0)
        ours += parents[one]
    # user, nice, system, idle, iowait, irq, softirq, steal: interrupts belong to nobody, and those
    # of the loopback are the bench's own.
    numbers = (proc / "stat").read_text().partition("\n")[0].split()[1:]
    machine = sum(int(numbers[place]) for place in (0, 1, 2, 7))
    return Spent(time.monotonic(), machine / _TICKS, own / _TICKS)


def elsewhere(before: Spent, after: Spent) -> float:
    """The part of all cores that was busy with something else meanwhile, 0 to 1."""
    other_s = (after.machine_s - before.machine_s) - (after.own_s - before.own_s)
    return max(0.0, other_s / (after.at - before.at) / (os.cpu_count() or 1))
