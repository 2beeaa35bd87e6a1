"""What must hold of the frames that sockets saw."""

from collections import Counter
from collections.abc import Iterator

from benchmarks.chaos.facts import Facts, Violation
from benchmarks.chaos.journal import Record
from benchmarks.chaos.oracle import difference

SOON = 1.0  # seconds: a socket that opens that close to the end of a turn need not see it
LATE = (
    45.0  # seconds after the end of a turn until which a socket must have been open: sends are tried for 30
)


def shown_twice(facts: Facts) -> Iterator[Violation]:
    """No message is shown as new twice on one connection. What it asked to be shown again, and snapshots, do not
    count."""
    for socket, frames in facts.frames.items():
        shown = Counter(
            (each["message"], each.get("turn", ""))
            for each in frames
            if each["what"] == "message" and not each.get("snapshot")
        )
        for (message, turn), count in shown.items():
            # A placeholder is the first event of its turn, which is shown again to who asks for all of it.
            if count > 1 + (_asked_again(facts, socket, turn, 0) if turn else 0):
                session = frames[0]["session"]
                yield Violation(
                    "shown twice", f"as new, {count} times", session, turn, message, _named(facts, socket)
                )


def ended_twice(facts: Facts) -> Iterator[Violation]:
    """One terminal frame of a turn on a connection, and one more for each time that it asked to be shown the turn. One
    that was on its way when its sender died cannot be known to have come: it comes again, in a snapshot."""
    for socket, frames in facts.frames.items():
        ends = Counter(each["turn"] for each in frames if each["what"] == "end")
        for turn, count in ends.items():
            allowed = 1 + _asked_again(facts, socket, turn)
            first = next(each for each in frames if _ends(each) and each["turn"] == turn)
            if count == allowed + 1 and facts.sender_died(first["at"]):
                allowed += any(
                    _ends(each) and each["turn"] == turn and each.get("snapshot") for each in frames
                )
            if count > allowed:
                where = (frames[0]["session"], turn, "", _named(facts, socket))
                again = sum(
                    each["turn"] == turn and bool(each.get("snapshot")) for each in frames if _ends(each)
                )
                yield Violation("sockets", f"{count} terminal frames, {again} of them in snapshots", *where)


def _ends(frame: Record) -> bool:
    return frame["what"] == "end"


def misread(facts: Facts) -> Iterator[Violation]:
    """Who saw a turn end has then the text that is stored, whole and nothing twice; the last frame may bring it, as in
    dialect `session`. Those who asked to be shown it
    again are left out."""
    for socket, frames in facts.frames.items():
        opened = facts.opened.get(socket)
        last = {each["turn"]: each for each in frames if each["what"] == "end"}
        for turn, end in last.items():
            answer = facts.stored.get(turn)
            if not (opened and answer) or _asked_again(facts, socket, turn):
                continue
            late = facts.once_they_answer(opened["at"], SOON) > answer["ended"]
            text = end.get("text")
            if text is None and (late or not answer["content"]):
                continue
            if text is None or not _same(answer, text):
                read = "nothing" if text is None else difference(text, answer["content"])
                where = (opened["session"], turn, "", _named(facts, socket))
                yield Violation("sockets", f"its words are not those that are stored: {read}", *where)


def _same(answer: Record, text: str) -> bool:
    """Of an instance that was killed the last words may have been seen, and not stored."""
    if answer["status"] == "interrupted":
        return text.startswith(answer["content"])
    return text == answer["content"]


def never_ended(facts: Facts) -> Iterator[Violation]:
    """A socket that was open while a turn of its session ran has seen the end of it."""
    by_session: dict[str, list[Record]] = {}
    for each in facts.answers:
        by_session.setdefault(each["session"], []).append(each)
    for socket, opened in facts.opened.items():
        frames = facts.frames.get(socket, [])
        there = facts.once_they_answer(opened["at"], SOON)
        ended = {each["turn"] for each in frames if each["what"] == "end"}
        begun = {each["turn"] for each in frames if each.get("turn") and each["what"] != "end"}
        for answer in by_session.get(opened["session"], []):
            if answer["id"] in ended or answer["status"] == "streaming":
                continue
            saw = answer["id"] in begun
            if (saw or there <= answer["ended"]) and _stayed(facts, socket, opened, answer):
                how = f"saw no end of a turn that it {'saw begin' if saw else 'was open for'} ({answer['status']})"
                where = (opened["session"], answer["id"], "", _named(facts, socket))
                yield Violation("sockets", how, *where)


def _stayed(facts: Facts, socket: str, opened: Record, answer: Record) -> bool:
    closed = facts.closed.get(socket)
    until = float("inf") if closed is None or closed["by"] == "end" else closed["at"]
    if facts.was_removed(opened["session"], opened["user"], opened["at"], min(until, answer["ended"] + LATE)):
        return False
    return until >= answer["ended"] + LATE


def heard_after_removal(facts: Facts) -> Iterator[Violation]:
    """Who was taken out hears no further word, within 1 s while the services answer, and once they do otherwise."""
    for removal in facts.removed:
        session, user = removal["session"], removal["user"]
        again = [each["at"] for each in facts.admitted if (each["session"], each["user"]) == (session, user)]
        until = min((at for at in again if at > removal["at"]), default=float("inf"))
        since = facts.once_they_answer(removal["at"], SOON)
        for socket, opened in facts.opened.items():
            if (opened["session"], opened["user"]) != (session, user) or opened["at"] > removal["at"]:
                continue
            late = [each for each in facts.frames.get(socket, []) if since < each["at"] < until]
            if late:
                what = f"{len(late)} frames to {user}, the first {late[0]['at'] - removal['at']:.1f} s later"
                yield Violation("removed", what, session, late[0].get("turn", ""), "", _named(facts, socket))


def _asked_again(facts: Facts, socket: str, turn: str, after: int | None = None) -> int:
    return sum(
        each["turn"] == turn and (after is None or each["after"] <= after)
        for each in facts.resumes.get(socket, [])
    )


def _named(facts: Facts, socket: str) -> str:
    opened = facts.opened.get(socket)
    return f"{socket} ({opened['dialect']}, {opened['protocol'] or 'plain'})" if opened else socket
