"""The figures as tables: for the terminal, and with machine and versions for `benchmarks/RESULTS.md`."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.scenarios import Figures, Sizes
from benchmarks.servers import MODEL, WORKER

RESULTS = Path(__file__).with_name("RESULTS.md")
CHAOS_HEADING = "# Results of `python -m benchmarks chaos`"
PACKAGES = (
    "azure-functions-runtime",
    "azure-ai-inference",
    "azure-data-tables",
    "aiohttp",
    "fastapi",
    "uvicorn",
    "uvloop",
    "httptools",
    "openai",
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One column. `limit` is what Parley's worker must keep to, `goal` what it is meant to reach."""

    key: str
    title: str
    digits: int = 1
    limit: float | None = None
    goal: float | None = None

    @property
    def is_time(self) -> bool:
        """Whether it is one that a slower machine needs more of."""
        return not {"us", "ms", "s"}.isdisjoint(self.title.split())


METRICS = (
    Metric("burst_us", "burst: CPU us a delta", limit=25, goal=15),
    Metric("burst_events", "burst: events a delta", 2),
    Metric("first_p50_ms", "first byte beyond the model: p50 ms", limit=15, goal=10),
    Metric("first_p99_ms", "first byte beyond the model: p99 ms"),
    Metric("paced_us", "paced: CPU us a delta", limit=120, goal=90),
    Metric("paced_all_us", "paced: CPU us a delta, starts and ends too"),
    Metric("paced_events", "paced: events a delta", 2),
    Metric("latency_p50_ms", "paced: added latency, p50 ms"),
    Metric("latency_p99_ms", "paced: added latency, p99 ms", limit=100),
    Metric("stream_kb", "paced: KB a stream", limit=150),
)
START_UP = Metric("start_up", "start-up: CPU s", 2, limit=0.8)
GROWTH = Metric("growth", "memory: KB a request", 3, limit=0.2)
MACHINE = 2.8  # CPU us a delta of the model itself in a burst, on the machine on which the limits were set
RATIOS = ("burst_us", "paced_us", "paced_all_us", "stream_kb")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with its columns in line."""
    widths = [max(len(row[index]) for row in (header, *rows)) for index in range(len(header))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (header, *rows)
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def shown(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def figures_table(figures: Mapping[str, Figures]) -> str:
    """One line a metric, one column a server: there are more metrics than servers."""
    rows = [
        [metric.title, *(shown(row.get(metric.key), metric.digits) for row in figures.values())]
        for metric in METRICS
        if any(metric.key in row for row in figures.values())
    ]
    return table(["", *figures], rows) if rows else ""


def ratio_table(figures: Mapping[str, Figures], against: Sequence[str]) -> str:
    """Every server's cost in units of a peer's."""
    rows: list[list[str]] = []
    for peer in against:
        for metric in METRICS:
            unit = figures.get(peer, {}).get(metric.key, 0.0)
            if metric.key in RATIOS and unit > 0:
                values = [row.get(metric.key) for row in figures.values()]
                cells = [shown(None if value is None else value / unit, 2) for value in values]
                rows.append([f"{metric.title}, x {peer}", *cells])
    return table(["ratio", *figures], rows) if rows else ""


def slowness(figures: Mapping[str, Figures]) -> float:
    """How much slower this machine is than that of the limits, by what the model itself costs; 1 for a faster one, and
    where that was not measured."""
    return max(1.0, figures.get(MODEL, {}).get("burst_us", MACHINE) / MACHINE)


def verdict(
    metric: Metric, value: float | None, *, why_not: str = "not measured", slower: float = 1.0
) -> list[str]:
    """A row of the table of goals. On a machine that is so much `slower`, limits in time are that much larger."""
    factor = slower if metric.is_time else 1.0
    most = None if metric.limit is None else metric.limit * factor
    reached = None if metric.goal is None else metric.goal * factor
    limit, goal = shown(most, metric.digits), shown(reached, metric.digits)
    if value is None:
        return [metric.title, why_not, limit, goal, "skipped"]
    kept = most is None or value <= most
    return [metric.title, shown(value, metric.digits), limit, goal, "pass" if kept else "FAIL"]


def goal_rows(
    figures: Mapping[str, Figures], start_up: Mapping[str, float | str], skipped: Mapping[str, str]
) -> list[list[str]]:
    """The limits of Parley's worker, and whether it kept them."""
    row = figures.get(WORKER, {})
    why_not = skipped.get(WORKER) or skipped.get("Parley") or "not measured"
    slower = slowness(figures)
    rows = [
        verdict(each, row.get(each.key), why_not=why_not, slower=slower)
        for each in METRICS
        if each.limit is not None
    ]
    if start_up:
        cost = start_up["Parley"]
        known = not isinstance(cost, str)
        value, why_not = (cost, "") if known else (None, str(cost))
        rows.append(verdict(START_UP, value, why_not=why_not, slower=slower))
    return rows


def goals_table(rows: Sequence[Sequence[str]], server: str = WORKER) -> str:
    """The verdicts, under the name of the server that was measured."""
    return table([server, "measured", "limit", "goal", ""], rows)


def pace(figures: Mapping[str, Figures]) -> str:
    """What the limits were multiplied by, in words."""
    slower = slowness(figures)
    return f"This machine is {slower:.2f} times as slow as that of the limits: those in time are multiplied by it."


def crowd() -> str:
    """How busy the machine was before the run: others on it make latencies worse, and CPU times a little."""
    load = os.getloadavg()[0]
    warning = ", which is too busy for latencies to mean much" if load > (os.cpu_count() or 1) / 4 else ""
    return f"Load average before the run: {load:.2f}{warning}."


def machine() -> str:
    """What it ran on."""
    cpus = Path("/proc/cpuinfo").read_text()
    name = re.search(r"model name\s*: (.*)", cpus)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = name[1] if name else platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def method(sizes: Sizes) -> str:
    """How it was measured, for who reads the tables later."""
    return "\n".join(
        [
            f"Burst: {sizes.burst_streams} streams of {sizes.burst_deltas} deltas, one after the other.",
            f"First byte: {sizes.first_requests} requests; the model waits {sizes.first_delay_ms} ms.",
            f"Paced: {sizes.streams} streams at {sizes.rate} deltas/s for {sizes.seconds} s, started over "
            f"{sizes.spread:.3g} s; `CPU us a delta` is taken while all of them run.",
            "CPU and memory are the server process's alone. Added latency is from the model's write to the client's",
            "read, so the column of the model is what the machine itself adds. A delta is one that the model sent,",
            "an event is a frame that the client got.",
        ]
    )


def write_results(tables: Sequence[str], sizes: Sizes, crowd_before: str) -> None:
    """`benchmarks/RESULTS.md`, but for its last section."""
    RESULTS.write_text(_pages("# Results of `make bench`", crowd_before, [method(sizes), *tables]) + _chaos())


def write_chaos(tables: Sequence[str], crowd_before: str) -> None:
    """The last section of `benchmarks/RESULTS.md`; what stands before it stays."""
    before = RESULTS.read_text().removesuffix(_chaos()) if RESULTS.exists() else ""
    RESULTS.write_text(before + "\n" * bool(before) + _pages(CHAOS_HEADING, crowd_before, tables))


def _pages(heading: str, crowd_before: str, parts: Sequence[str]) -> str:
    day = datetime.now(UTC).date().isoformat()
    head = [heading, f"{day}. {machine()}.\n{versions()}.\n{crowd_before}"]
    return "\n\n".join(part for part in (*head, *parts) if part) + "\n"


def _chaos() -> str:
    """The section that is there, with the empty line before it."""
    _, found, rest = RESULTS.read_text().partition("\n" + CHAOS_HEADING) if RESULTS.exists() else ("", "", "")
    return found + rest
