"""A journal put in order, for the oracle to look things up in."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from benchmarks.chaos.journal import Record

THAWED = 5.0  # seconds after a freeze in which what waited for it is worked off
ON_ITS_WAY = 0.5  # seconds that a frame takes to a socket, and the note that it was sent to storage
REBORN = 20.0  # seconds after a kill in which others find out: a lease is 12


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: which check says so, what it is, and where to look."""

    check: str
    what: str
    session: str = ""
    turn: str = ""
    message: str = ""
    socket: str = ""

    def __str__(self) -> str:
        names = ("session", "turn", "message", "socket")
        where = " ".join(f"{name}={value}" for name in names if (value := getattr(self, name)))
        return f"{self.check}: {self.what} [{where}]"


def seq_of(message: str) -> int:
    """The number of a message in its session, from its id."""
    return int(message.rpartition("-")[2])


def marker_of(content: str) -> str:
    """The first word of what users say."""
    return content.split(" ", 1)[0]


def _by_socket() -> dict[str, list[Record]]:
    return defaultdict(list)


@dataclass(slots=True)
class Facts:
    """Records by what they are about, in the order in which they were written."""

    orders: dict[str, Record] = field(default_factory=dict[str, Record])  # by marker
    acked: list[Record] = field(default_factory=list[Record])
    refused: list[Record] = field(default_factory=list[Record])
    readers: dict[str, list[Record]] = field(default_factory=_by_socket)  # segments by reader
    anew: list[Record] = field(default_factory=list[Record])
    cancels: list[Record] = field(default_factory=list[Record])
    removed: list[Record] = field(default_factory=list[Record])
    admitted: list[Record] = field(default_factory=list[Record])
    opened: dict[str, Record] = field(default_factory=dict[str, Record])
    closed: dict[str, Record] = field(default_factory=dict[str, Record])
    frames: dict[str, list[Record]] = field(default_factory=_by_socket)
    resumes: dict[str, list[Record]] = field(default_factory=_by_socket)
    kills: list[Record] = field(default_factory=list[Record])
    freezes: list[Record] = field(default_factory=list[Record])
    memory: list[Record] = field(default_factory=list[Record])
    sessions: list[Record] = field(default_factory=list[Record])
    stored: dict[str, Record] = field(default_factory=dict[str, Record])  # by message id
    probes: list[Record] = field(default_factory=list[Record])
    over: float = 0.0
    ended: bool = False

    @property
    def answers(self) -> list[Record]:
        """The message of each turn."""
        return [each for each in self.stored.values() if each["role"] == "assistant"]

    @property
    def questions(self) -> list[Record]:
        return [each for each in self.stored.values() if each["role"] == "user"]

    def order_of(self, answer: Record) -> Record | None:
        """What was asked for, by the question that a turn answers."""
        question = self.stored.get(answer["parent"])
        return self.orders.get(marker_of(question["content"])) if question else None

    def killed(self, instance: int, began: float, ended: float, slack: float = 1.0) -> bool:
        """Whether the instance was dead at any moment of a span."""
        return any(
            each["instance"] == instance and each["began"] - slack <= ended and began <= each["until"] + slack
            for each in self.kills
        )

    def sender_died(self, moment: float) -> bool:
        """Whether an instance died while a frame that came at that moment was on its way, or before it had noted that
        it was sent: while the socket service stands still a frame waits in front of it, and storage takes no note."""
        sent, noted = moment - ON_ITS_WAY, moment + ON_ITS_WAY
        for each in self.freezes:
            if each["who"] == "sockets" and each["began"] <= moment <= each["until"] + ON_ITS_WAY:
                sent = min(sent, each["began"])
            if each["who"] == "azurite" and each["began"] <= noted and each["until"] >= moment:
                noted = max(noted, each["until"] + ON_ITS_WAY)
        return any(each["began"] <= noted and each["until"] >= sent for each in self.kills)

    def once_they_answer(self, moment: float, grace: float) -> float:
        """`grace` seconds after a moment; where a service stood still or an instance died meanwhile, when what
        waited for it has been worked off."""
        end = moment + grace
        faults = [(each, THAWED) for each in self.freezes] + [(each, REBORN) for each in self.kills]
        for fault, after in sorted(faults, key=lambda each: each[0]["began"]):
            if fault["began"] <= end and fault["until"] >= moment:
                end = max(end, fault["until"] + after)
        return end

    def was_removed(self, session: str, user: str, began: float, ended: float) -> bool:
        """Whether the user was taken out of the session in a span."""
        return any(
            each["session"] == session
            and each["user"] == user
            and began <= each["at"]
            and each["began"] <= ended
            for each in self.removed
        )


def put_in_order(records: Iterable[Record]) -> Facts:
    facts = Facts()
    lists = {
        "acked": facts.acked,
        "refused": facts.refused,
        "anew": facts.anew,
        "cancel": facts.cancels,
        "removed": facts.removed,
        "admitted": facts.admitted,
        "kill": facts.kills,
        "freeze": facts.freezes,
        "memory": facts.memory,
        "session": facts.sessions,
        "probe": facts.probes,
    }
    singles = {"order": (facts.orders, "marker"), "stored": (facts.stored, "id")}
    singles |= {"opened": (facts.opened, "socket"), "closed": (facts.closed, "socket")}
    many = {"segment": (facts.readers, "reader"), "frame": (facts.frames, "socket")}
    many |= {"resume": (facts.resumes, "socket")}
    for record in records:
        kind = record["kind"]
        if kind in lists:
            lists[kind].append(record)
        elif kind in singles:
            singles[kind][0][record[singles[kind][1]]] = record
        elif kind in many:
            many[kind][0][record[many[kind][1]]].append(record)
        elif kind == "over":
            facts.over = record["at"]
        elif kind == "end":
            facts.ended = True
    return facts
