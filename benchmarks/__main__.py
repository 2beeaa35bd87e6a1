"""`python -m benchmarks`: measures all servers on the same streams; `python -m benchmarks memory`: 20,000 requests;
`python -m benchmarks chaos`: the whole stack under a hostile mix."""

import argparse
import os
import sys
from dataclasses import replace

from benchmarks import report
from benchmarks.chaos import figures
from benchmarks.chaos.run import Size, play
from benchmarks.clients import StreamFailed
from benchmarks.encoding import encoding, encoding_goals, encoding_table
from benchmarks.limits import limits, limits_goals, limits_table
from benchmarks.scenarios import (
    QUICK,
    SCENARIOS,
    Figures,
    Sizes,
    beyond_model,
    growth,
    memory,
    start_up,
)
from benchmarks.servers import PROXIED, WORKER, Field, Server, Skipped, running_field
from benchmarks.sockets import SMALL, Crowd, socket_goals, socket_table, sockets
from benchmarks.streams import FEW, READERS, streams, streams_goals, streams_table

MEMORY_REQUESTS = 20_000
EVERYTHING = (*SCENARIOS, "start", "sockets", "limits", "streams", "encoding")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("mode", nargs="?", choices=("speed", "memory", "chaos"), default="speed")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter streams")
    parser.add_argument("--streams", type=int, help="paced streams at once (300)")
    parser.add_argument("--seconds", type=int, help="length of each (30)")
    parser.add_argument("--requests", type=int, default=MEMORY_REQUESTS, help="of the mode memory (20000)")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=EVERYTHING,
        default=[*EVERYTHING],
        metavar="WHAT",
        help="some of: burst first paced start sockets limits streams encoding",
    )
    whole = Size()
    parser.add_argument("--minutes", type=float, default=whole.minutes, help="of the mode chaos (10)")
    parser.add_argument("--users", type=int, default=whole.users, help="of the mode chaos (50)")
    parser.add_argument("--seed", type=int, default=whole.seed, help="of its dice (1)")
    return parser.parse_args()


def sizes_of(given: argparse.Namespace) -> Sizes:
    wanted = {name: getattr(given, name) for name in ("streams", "seconds") if getattr(given, name)}
    sizes = replace(QUICK if given.quick else Sizes(), **wanted)
    # All streams must run at once for a while, or there is nothing steady to measure.
    return replace(sizes, spread=min(sizes.spread, sizes.seconds / 3))


def measure(field: Field, only: list[str], sizes: Sizes) -> dict[str, Figures]:
    figures: dict[str, Figures] = {server.name: {} for server in field.servers}
    for name, scenario in SCENARIOS.items():
        for server in field.servers if name in only else ():
            print(f"  {name}: {server.name}", file=sys.stderr, flush=True)
            try:
                figures[server.name] |= scenario(server, sizes)
            except StreamFailed as error:
                field.skipped[f"{server.name}, {name}"] = str(error)
    beyond_model(figures, field.model.name)
    # The same process as the worker, whose heap had grown before: what it adds says nothing.
    figures.get(PROXIED, {}).pop("stream_kb", None)
    return figures


def speed(given: argparse.Namespace) -> bool:
    """Prints all tables. Whether Parley ran, and every limit that was checked was kept."""
    sizes, crowd = sizes_of(given), report.crowd()
    encoded = encoding() if "encoding" in given.only else {}
    started = start_up(sizes) if "start" in given.only else {}
    with running_field() as field:
        figures = measure(field, given.only, sizes)
    crowded = _sockets(given) if "sockets" in given.only else {}
    limited = _limits(sizes, field) if "limits" in given.only else {}
    readers = FEW if given.quick else READERS
    shared = _streams(readers, field) if "streams" in given.only else {}
    goals = (
        report.goal_rows(figures, started, field.skipped)
        + socket_goals(crowded, report.slowness(figures))
        + limits_goals(limited)
        + encoding_goals(encoded, report.slowness(figures))
        + streams_goals(shared, readers)
    )
    tables = [
        report.figures_table(figures),
        report.ratio_table(figures, ("nginx", "ordinary app")),
        _start_up_table(started),
        socket_table(crowded),
        limits_table(limited),
        encoding_table(encoded),
        streams_table(shared, readers),
        report.goals_table(goals),
        report.pace(figures),
        _skipped_table(field.skipped),
    ]
    print("\n\n".join(each for each in (*tables, crowd) if each))
    if not given.quick and set(given.only) == set(EVERYTHING):
        report.write_results(tables, sizes, crowd)
    return "Parley" not in field.skipped and all(row[-1] != "FAIL" for row in goals)


def _sockets(given: argparse.Namespace) -> Figures:
    print("  sockets", file=sys.stderr, flush=True)
    return sockets(SMALL if given.quick else Crowd())


def _limits(sizes: Sizes, field: Field) -> Figures:
    print("  limits", file=sys.stderr, flush=True)
    try:
        return limits(sizes)
    except Skipped as reason:
        field.skipped["limits"] = str(reason)
        return {}


def _streams(readers: int, field: Field) -> Figures:
    print("  streams", file=sys.stderr, flush=True)
    try:
        return streams(readers)
    except Skipped as reason:
        field.skipped["streams"] = str(reason)
        return {}


def _start_up_table(started: dict[str, float | str]) -> str:
    rows = [[name, cost if isinstance(cost, str) else f"{cost:.2f}"] for name, cost in started.items()]
    return report.table(["import", "CPU s"], rows) if rows else ""


def _skipped_table(skipped: dict[str, str]) -> str:
    rows = [[name, reason.splitlines()[0]] for name, reason in skipped.items()]
    return report.table(["skipped", "why"], rows) if rows else ""


def memory_mode(given: argparse.Namespace) -> bool:
    """Whether the worker's memory stays flat. The ordinary app is tried where Parley cannot run, and never counts."""
    with running_field() as field:
        server = _worker(field)
        print(f"{given.requests} requests to: {server.name}", file=sys.stderr, flush=True)
        seen = memory(server, given.requests)
    rows = [[str(requests), f"{kb / 1024:.1f}"] for requests, kb in seen]
    verdict = report.verdict(report.GROWTH, growth(seen))
    print(report.table(["requests", "MiB"], rows), report.goals_table([verdict], server.name), sep="\n\n")
    return server.name == WORKER and verdict[-1] != "FAIL"


def _worker(field: Field) -> Server:
    for name, reason in field.skipped.items():
        print(f"{name} is skipped: {reason}", file=sys.stderr)
    by_name = {server.name: server for server in field.servers}
    return by_name.get(WORKER) or by_name["ordinary app"]


def chaos_mode(given: argparse.Namespace) -> bool:
    """Whether everything held that must hold, whatever was done to the stack."""
    size, crowd = Size(given.minutes, given.users, given.seed), report.crowd()
    try:
        journal = play(size)
    except Skipped as reason:
        print(f"Broken off: {reason}", file=sys.stderr)
        return False
    facts = figures.read_facts(journal)
    found = figures.violations(facts)
    rows = figures.goal_rows(facts, found)
    tables = figures.tables(facts, size, rows)
    print("\n\n".join((*tables, crowd)))
    figures.show_violations(found, journal)
    figures.show_others(facts)
    if size.whole:
        report.write_chaos(tables, crowd)
    return facts.ended and all(row[-1] != "FAIL" for row in rows)


MODES = {"speed": speed, "memory": memory_mode, "chaos": chaos_mode}


def main() -> int:
    if not os.path.exists("/proc/self/stat"):
        print("The benchmarks read /proc, which only Linux has.", file=sys.stderr)
        return 2
    given = arguments()
    try:
        return 0 if MODES[given.mode](given) else 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
