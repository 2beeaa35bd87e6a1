"""How turns ended, beside how they were asked to end; and whether memory stayed flat."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.chaos.facts import Facts
from benchmarks.chaos.journal import Record

NEAR = 0.5  # seconds by which the clock of a message and ours may differ
ENDS = {"complete": "finished", "failed": "failed", "cancelled": "cancelled", "interrupted": "failed"}


@dataclass(slots=True)
class Outcomes:
    """Turns that were asked for by an order, and what those came to that did not go as it says."""

    turns: int = 0
    as_asked: int = 0
    others: Counter[str] = field(default_factory=Counter[str])
    examples: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def percent(self) -> float | None:
        return self.as_asked / self.turns * 100 if self.turns else None


def outcomes(facts: Facts) -> Outcomes:
    """Every turn of a known order. One that was stopped may have been quicker than who stopped it, unless they were
    told that it is cancelled."""
    found = Outcomes()
    stopped: dict[str, Record] = {each["turn"]: each for each in facts.cancels if each["turn"]}
    for answer in facts.answers:
        order = facts.order_of(answer)
        if order is None:
            continue
        found.turns += 1
        other = _other_than(facts, order, answer, stopped)
        if not other:
            found.as_asked += 1
            continue
        found.others[other] += 1
        found.examples.setdefault(other, answer["id"])
    return found


def _other_than(facts: Facts, order: Record, answer: Record, stopped: Mapping[str, Record]) -> str:
    """What a turn came to instead of what was asked for; "" when it is that."""
    stop, end = stopped.get(answer["id"]), ENDS.get(answer["status"], answer["status"])
    if end == "cancelled":
        return "" if stop or _interrupted(facts, answer) else "cancelled by nobody"
    if stop and stop.get("status") == "cancelled":
        return f"{_shown(answer)}, told to be cancelled"
    if end != order["end"]:
        return f"{_shown(answer)} in place of {order['end']} {order['code']}".rstrip()
    if order["code"] and answer["code"] != order["code"]:
        return f"{_shown(answer)} in place of {order['code']}"
    said = order["said"] if order["exact"] else order["said"][: len(answer["content"])]
    return "" if answer["content"] == said else f"{_shown(answer)}, another text"


def _shown(answer: Record) -> str:
    return answer["code"] if answer["status"] in ("failed", "interrupted") else ENDS[answer["status"]]


def _interrupted(facts: Facts, answer: Record) -> bool:
    """Whether a message that was to interrupt came in its session when it ended."""
    return any(
        not each["turn"]
        and each["session"] == answer["session"]
        and each["began"] - NEAR <= answer["ended"] <= each["until"] + NEAR
        for each in facts.cancels
    )


def memory_growth(facts: Facts) -> float | None:
    """How much more memory the instance that lives on holds in the last quarter than in the second, in percent."""
    seen = [each["kb"] for each in facts.memory if not facts.over or each["at"] <= facts.over]
    quarter = len(seen) // 4
    if quarter < 2:
        return None
    second, last = seen[quarter : 2 * quarter], seen[-quarter:]
    return (sum(last) / sum(second) * len(second) / len(last) - 1) * 100
