"""What a process used, from /proc, and percentiles. Linux only."""

import os
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of one process with its threads, without its children; exact to a clock tick (10 ms)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def resident_kb(pid: int) -> int:
    """The memory that the process holds, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile; NaN of nothing."""
    if not values:
        return float("nan")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]


def import_cpu_seconds(module: str, folder: Path, environment: Mapping[str, str], runs: int) -> float:
    """CPU time of a fresh interpreter that imports a module of a folder: the median of some runs.

    The first run, which may read from a cold disk and compile, is left out. CalledProcessError when it cannot.
    """
    command = [sys.executable, "-c", f"import {module}"]
    found: list[float] = []
    for _ in range(runs + 1):
        before = _children_cpu()
        subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True)
        found.append(_children_cpu() - before)
    return percentile(found[1:], 50)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
