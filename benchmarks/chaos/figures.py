"""The figures of a run: what is checked, with its limit, and what was done."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from benchmarks.chaos.facts import Facts, Violation, put_in_order
from benchmarks.chaos.journal import read_journal
from benchmarks.chaos.oracle import answered_twice, lost, streams, stuck, torn
from benchmarks.chaos.oracle_sockets import (
    ended_twice,
    heard_after_removal,
    misread,
    never_ended,
    shown_twice,
)
from benchmarks.chaos.outcomes import Outcomes, memory_growth, outcomes
from benchmarks.chaos.run import Size
from benchmarks.report import Metric, table, verdict

METRICS = (
    Metric("lost", "messages that are lost, or there twice", 0, limit=0),
    Metric("shown_twice", "messages shown twice in a room", 0, limit=0),
    Metric("answered_twice", "questions that were answered twice", 0, limit=0),
    Metric("stuck", "sessions stuck, or questions that nobody answers", 0, limit=0),
    Metric("streams", "HTTP streams, and readers who came back, without their one end", 0, limit=0),
    Metric("ended_twice", "sockets: a turn that ended twice", 0, limit=0),
    Metric("never_ended", "sockets: a turn that never ended", 0, limit=0),
    Metric("misread", "sockets: an answer whose words are not those that are stored", 0, limit=0),
    Metric("removed", "sockets of people taken out that heard more", 0, limit=0),
    Metric("memory", "memory of the instance that lives on, last quarter to second: % more", 1, limit=5),
)
PRINTED = 10  # violations of each kind
LONG_ENOUGH = 240.0  # seconds in which caches fill, before memory says anything


def violations(facts: Facts) -> dict[str, list[Violation]]:
    """By the key of the figure."""
    checks = {
        "lost": lost,
        "shown_twice": shown_twice,
        "answered_twice": answered_twice,
        "stuck": stuck,
        "streams": streams,
        "ended_twice": ended_twice,
        "never_ended": never_ended,
        "misread": misread,
        "removed": heard_after_removal,
    }
    return {key: list(check(facts)) for key, check in checks.items()}


def read_facts(journal: Path) -> Facts:
    return put_in_order(read_journal(journal))


def goal_rows(facts: Facts, found: Mapping[str, list[Violation]]) -> list[list[str]]:
    """A row a figure. A run whose end is not in the journal has checked nothing."""
    figures: dict[str, float | None] = {key: len(each) for key, each in found.items()}
    seen = facts.memory
    if seen and seen[-1]["at"] - seen[0]["at"] > LONG_ENOUGH:
        figures["memory"] = memory_growth(facts)
    if not facts.ended:
        figures = {}
    return [
        verdict(each, figures.get(each.key), why_not="too short" if facts.ended else "broken off")
        for each in METRICS
    ]


def goals_table(rows: list[list[str]]) -> str:
    return table(["two instances, one of them killed", "measured", "limit", "goal", ""], rows)


def deeds_table(facts: Facts, size: Size) -> str:
    """What was done and to what."""
    replies = torn(facts)
    frozen = sum(each["until"] - each["began"] for each in facts.freezes)
    rows: list[tuple[str, object]] = [
        ("minutes", f"{size.minutes:g}"),
        ("users", size.users),
        ("sessions", len(facts.sessions)),
        ("messages sent", len(facts.orders)),
        ("messages acknowledged", len({each["marker"] for each in facts.acked})),
        ("requests refused", len(facts.refused)),
        ("turns", len(facts.answers)),
        ("HTTP streams", sum(replies.values())),
        ("of them torn", replies["torn"]),
        ("of them left by their reader", replies["dropped"]),
        ("sockets", len(facts.opened)),
        ("stops", len(facts.cancels)),
        ("members taken out", len(facts.removed)),
        ("kills", len(facts.kills)),
        ("freezes", len(facts.freezes)),
        ("seconds frozen", f"{frozen:.0f}"),
    ]
    return table(["what was done", ""], [[name, str(value)] for name, value in rows])


def outcomes_table(found: Outcomes) -> str:
    """How many turns ended as they were asked to, and what became of the others."""
    share = "-" if found.percent is None else f"{found.percent:.1f} %"
    rows = [["as asked", str(found.as_asked), share]]
    rows += [
        [other, str(count), f"{count / found.turns * 100:.1f} %"]
        for other, count in found.others.most_common()
    ]
    return table(["turns ended", "", ""], rows)


def refusals_table(facts: Facts) -> str:
    codes = Counter(f"{each['status']} {each['code']}" for each in facts.refused)
    return (
        table(["refused", ""], [[code, str(count)] for code, count in codes.most_common()]) if codes else ""
    )


def tables(facts: Facts, size: Size, rows: list[list[str]]) -> list[str]:
    """For the terminal and for RESULTS.md."""
    found = outcomes(facts)
    parts = [goals_table(rows), outcomes_table(found), deeds_table(facts, size), refusals_table(facts)]
    return [each for each in parts if each]


def show_violations(found: Mapping[str, Iterable[Violation]], journal: Path) -> None:
    """So that each can be traced: what it is about, and where the journal and the logs are."""
    lines = list(_lines(found))
    if lines:
        where = f"journal {journal}, the logs of stack and instances beside it"
        print(*lines, where, sep="\n", file=sys.stderr, flush=True)


def _lines(found: Mapping[str, Iterable[Violation]]) -> Iterator[str]:
    for each in map(list, found.values()):
        yield from (str(one) for one in each[:PRINTED])
        if len(each) > PRINTED:
            yield f"{each[0].check}: {len(each) - PRINTED} more"


def show_others(facts: Facts) -> None:
    """A turn of each kind that ended in another way than it was asked to."""
    for other, turn in outcomes(facts).examples.items():
        print(f"turn {turn}: {other}", file=sys.stderr)
