"""The oracle of the hostile run sees each violation in a journal that has it, and nothing in one that has none."""

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.chaos.facts import Facts, put_in_order
from benchmarks.chaos.figures import goal_rows, violations
from benchmarks.chaos.journal import KINDS, Record
from benchmarks.chaos.stack import SURVIVOR, VICTIM
from local.model_server import expected_text

type Journal = list[dict[str, Any]]

S, QUESTION, TURN = "S", "S-00000001", "S-00000002"
WORDS = expected_text(5)


def note(journal: Journal, kind: str, at: float, **facts: Any) -> None:
    assert kind in KINDS
    journal.append({"at": at, "kind": kind, **facts})


def order(journal: Journal, marker: str = "u.1", **more: Any) -> None:
    facts = {"way": "turn", "end": "finished", "code": "", "said": WORDS, "exact": True, **more}
    note(journal, "order", 10, session=S, user="u", marker=marker, text=f"{marker} #chunks=5", **facts)


def segment(**more: Any) -> dict[str, Any]:
    facts = {"reader": "u.1", "session": S, "user": "u", "dialect": "delta", "instance": SURVIVOR}
    facts |= {"after": "", "marker": "u.1", "turn": TURN, "status": 200, "stream": True, "code": ""}
    facts |= {"text": WORDS, "last_id": "99999999", "ends": 1, "beyond": 0, "away": False, "how": "whole"}
    return {"at": 12, "kind": "segment", **facts, "began": 10.0, "ended": 12.0, **more}


def frame(what: str, at: float = 11, socket: str = "s1", **more: Any) -> dict[str, Any]:
    about = {"turn": TURN, "message": TURN, "role": "assistant"}
    return (
        {"at": at, "kind": "frame", "socket": socket, "session": S, "user": "v", "what": what} | about | more
    )


def stored(**more: Any) -> dict[str, Any]:
    facts = {"session": S, "id": TURN, "role": "assistant", "content": WORDS, "status": "complete"}
    return {
        "at": 200,
        "kind": "stored",
        **facts,
        "parent": QUESTION,
        "began": 10,
        "ended": 12,
        "code": "",
    } | more


def asked(**more: Any) -> dict[str, Any]:
    return stored(id=QUESTION, role="user", content="u.1 #chunks=5", parent="", **more)


def good() -> Journal:
    """A question, its answer as a stream and on a socket, and a session that takes a last turn."""
    journal: Journal = []
    note(journal, "opened", 5, socket="s1", session=S, user="v", dialect="session", protocol="")
    order(journal)
    journal += [frame("message", message=QUESTION, turn="", role="user"), frame("message"), frame("delta")]
    journal += [segment(), frame("end", text=WORDS)]
    note(journal, "acked", 12, session=S, user="u", marker="u.1", message="", by="stream")
    note(journal, "over", 100)
    journal += [asked(), stored()]
    note(journal, "session", 201, session=S, running_turn=None, problem="")
    note(journal, "probe", 202, session=S, turn="x", status=200, code="", said=expected_text(3), ends=1)
    note(journal, "closed", 210, socket="s1", session=S, code=1000, by="end")
    note(journal, "end", 211)
    return journal


def facts_of(journal: Journal) -> Facts:
    return put_in_order(journal)


def found(journal: Journal) -> dict[str, list[str]]:
    """What the oracle says, by the key of the figure; only what is not empty."""
    return {key: list(map(str, each)) for key, each in violations(facts_of(journal)).items() if each}


def kill(began: float, until: float) -> dict[str, Any]:
    return {"at": until, "kind": "kill", "instance": VICTIM, "pid": 1, "began": began, "until": until}


def resume(after: int) -> dict[str, Any]:
    return {"at": 11, "kind": "resume", "socket": "s1", "session": S, "turn": TURN, "after": after}


def anew(message: str) -> dict[str, Any]:
    return {"at": 12, "kind": "anew", "session": S, "message": message}


def removal(at: float) -> dict[str, Any]:
    return {"at": at, "kind": "removed", "session": S, "user": "v", "began": at}


def change(kind: str, **facts: Any) -> Callable[[Journal], None]:
    """Other facts in the only record of a kind."""

    def do(journal: Journal) -> None:
        [record] = [each for each in journal if each["kind"] == kind]
        record.update(facts)

    return do


def add(*records: dict[str, Any]) -> Callable[[Journal], None]:
    return lambda journal: journal.extend(records)


def drop(found: Callable[[Record], bool]) -> Callable[[Journal], None]:
    def do(journal: Journal) -> None:
        journal[:] = [each for each in journal if not found(each)]

    return do


def answer(**facts: Any) -> Callable[[Journal], None]:
    def do(journal: Journal) -> None:
        next(each for each in journal if each.get("id") == TURN).update(facts)

    return do


def torn(*, instance: int, **more: Any) -> dict[str, Any]:
    return segment(how="torn", ends=0, text="word1", last_id="4", instance=instance, **more)


def read(*segments: dict[str, Any]) -> Callable[[Journal], None]:
    """These instead of the reader's one reply."""

    def do(journal: Journal) -> None:
        drop(lambda each: each["kind"] == "segment")(journal)
        journal.extend(segments)

    return do


def shown(text: str | None) -> Callable[[Journal], None]:
    """The socket showed this when the turn ended."""

    def do(journal: Journal) -> None:
        [end] = [each for each in journal if each.get("what") == "end"]
        end.pop("text")
        end.update({} if text is None else {"text": text})

    return do


REST = WORDS.removeprefix("word1")
ASKED_LATER = {**asked(), "id": "S-00000003", "content": "u.2 #chunks=5"}
OTHER_SOCKET = {
    "at": 5,
    "kind": "opened",
    "socket": "s2",
    "session": S,
    "user": "w",
    "dialect": "chat",
    "protocol": "",
}

BAD: dict[str, tuple[str, Callable[[Journal], None]]] = {
    "a message that was acknowledged is not there": ("lost", drop(lambda each: each.get("id") == QUESTION)),
    "it is there twice": ("lost", add(asked() | {"id": "S-00000003"}, stored(parent="S-00000003"))),
    "it is there under another id": ("lost", change("acked", message="S-00000007")),
    "a message that the room saw is not there": (
        "lost",
        add(frame("message", message="S-00000009", turn="")),
    ),
    "a question came twice": ("shown_twice", add(frame("message", message=QUESTION, turn="", role="user"))),
    "a placeholder came twice": ("shown_twice", add(frame("message"))),
    "a placeholder came twice, and from later on it was asked for": (
        "shown_twice",
        add(frame("message"), resume(5)),
    ),
    "a question has two answers": ("answered_twice", add(stored(id="S-00000003"))),
    "a question has three answers, and one more was asked for": (
        "answered_twice",
        add(stored(id="S-00000003"), stored(id="S-00000004"), anew(TURN)),
    ),
    "a turn runs for ever": ("stuck", change("session", running_turn=TURN)),
    "a session cannot be read": ("stuck", change("session", problem="it cannot be read whole")),
    "an answer streams for ever": ("stuck", answer(status="streaming")),
    "the last turn failed": ("stuck", change("probe", status=409, said="", ends=0)),
    "the last turn said something else": ("stuck", change("probe", said="word1")),
    "the last turn was not asked for": ("stuck", drop(lambda each: each["kind"] == "probe")),
    "a question waits for ever": (
        "stuck",
        lambda journal: (order(journal, "u.2"), journal.append(ASKED_LATER))[0],
    ),
    "a stream without an end": ("streams", change("segment", ends=0)),
    "a stream with two ends": ("streams", change("segment", ends=2)),
    "a frame after the end": ("streams", change("segment", beyond=1)),
    "a stream that hangs": ("streams", change("segment", how="hanging", ends=0)),
    "a request without a reply": ("streams", change("segment", how="torn", ends=0, stream=False, status=0)),
    "a stream torn by the instance that lives": (
        "streams",
        read(torn(instance=SURVIVOR), segment(text=REST)),
    ),
    "a stream torn long after the kill": (
        "streams",
        lambda journal: (
            read(torn(instance=VICTIM), segment(text=REST))(journal),
            journal.append(kill(1, 5)),
        )[0],
    ),
    "a reader who came back in vain": (
        "streams",
        lambda journal: (
            read(torn(instance=VICTIM), segment(stream=False, status=503, ends=0, text=""))(journal),
            journal.append(kill(11, 15)),
        )[0],
    ),
    "a reader who came back to two ends": (
        "streams",
        read(segment(how="dropped", text="word1"), segment(text=REST)),
    ),
    "a reader who got a word twice": (
        "streams",
        read(segment(how="dropped", ends=0, text="word1"), segment(text=WORDS)),
    ),
    "words that were not stored, and no instance was killed": (
        "streams",
        lambda journal: (
            change("segment", instance=VICTIM)(journal),
            answer(status="interrupted", content="word1")(journal),
        )[0],
    ),
    "a reader who missed a word": ("streams", change("segment", text=expected_text(4))),
    "an answer that is not there": ("streams", drop(lambda each: each.get("id") == TURN)),
    "two ends on a socket": ("ended_twice", add(frame("end"))),
    "two ends on a socket, long after a kill": (
        "ended_twice",
        add(frame("end", snapshot=True), kill(4, 4.2)),
    ),
    "two ends on a socket, long before a kill": (
        "ended_twice",
        add(frame("end", snapshot=True), kill(14, 14.2)),
    ),
    "two ends on a socket, neither in a snapshot": ("ended_twice", add(frame("end"), kill(11.2, 11.3))),
    "three ends on a socket that asked once": ("ended_twice", add(frame("end"), frame("end"), resume(0))),
    "no end for a socket that saw the beginning": (
        "never_ended",
        drop(lambda each: each.get("what") == "end"),
    ),
    "no end for a socket that saw nothing at all": ("never_ended", add(OTHER_SOCKET)),
    "a word twice on a socket": ("misread", shown("word1" + WORDS)),
    "a hole on a socket": ("misread", shown(WORDS[5:])),
    "an end without a beginning": ("misread", shown(None)),
    "a word that was never said, by an instance that died": (
        "misread",
        lambda journal: (shown("word1 word3")(journal), answer(status="interrupted")(journal))[0],
    ),
    "a word to somebody who was taken out": ("removed", add(removal(9), frame("delta", at=10.5))),
    "a word after the services answered again": (
        "removed",
        add(
            removal(9),
            {"at": 9.8, "kind": "freeze", "who": "sockets", "pid": 1, "began": 8.0, "until": 9.8},
            frame("delta", at=15.0),
        ),
    ),
}


def test_a_run_that_went_well_has_no_violation() -> None:
    assert found(good()) == {}


@pytest.mark.parametrize("name", BAD)
def test_the_oracle_sees_that(name: str) -> None:
    key, spoil = BAD[name]
    journal = good()
    spoil(journal)
    assert key in found(journal)


GOOD: dict[str, Callable[[Journal], None]] = {
    "a stream torn by a kill, and read to its end at the other instance": lambda journal: (
        read(torn(instance=VICTIM, began=10.0, ended=11.0), segment(text=REST))(journal),
        journal.append(kill(11, 15)),
    )[0],
    "words that died with their instance": lambda journal: (
        read(
            torn(instance=VICTIM, ended=11.0) | {"text": WORDS + " word6"},
            segment(text="", code="INTERRUPTED"),
        )(journal),
        journal.append(kill(11, 15)),
        answer(status="interrupted", code="INTERRUPTED")(journal),
    )[0],
    "a reader who left and came back": read(segment(how="dropped", ends=0, text="word1"), segment(text=REST)),
    "a reader who was sent away while the store was": read(
        segment(text="word1", away=True), segment(text=REST)
    ),
    "a refusal": read(segment(stream=False, status=409, turn="", ends=0, text="")),
    "a failure before the first word": read(segment(stream=False, status=503, ends=0, text="")),
    "an end without a beginning, for who came late": lambda journal: (
        shown(None)(journal),
        change("opened", at=11.5)(journal),
    )[0],
    "words on a socket that died with their instance": lambda journal: (
        shown(WORDS + " word6")(journal),
        change("segment", text=WORDS, code="INTERRUPTED")(journal),
        answer(status="interrupted", code="INTERRUPTED")(journal),
    )[0],
    "a second answer that was asked for": add(
        stored(id="S-00000003"),
        anew(TURN),
        frame("message", turn="S-00000003", message="S-00000003"),
        frame("end", turn="S-00000003", text=WORDS),
    ),
    "a snapshot": add(frame("message", snapshot=True)),
    "an end that was on its way when its sender died": add(
        frame("end", at=20, text=WORDS, snapshot=True), kill(11.2, 11.3)
    ),
    "an end that waited in front of the service when its sender died": add(
        frame("end", at=20, text=WORDS, snapshot=True),
        kill(4, 4.2),
        {"at": 11, "kind": "freeze", "who": "sockets", "pid": 1, "began": 3.0, "until": 10.9},
    ),
    "what a socket asked to see again": add(frame("message"), frame("end", text="word5"), resume(0)),
    "a socket that opened too late": add(OTHER_SOCKET | {"at": 11.5}),
    "a socket that closed too early": add(
        OTHER_SOCKET, {"at": 20, "kind": "closed", "socket": "s2", "session": S, "code": 1000, "by": "us"}
    ),
    "a message that is only stored": lambda journal: (
        order(journal, "u.2", way="post"),
        journal.append(ASKED_LATER),
    )[0],
    "a word on its way when somebody was taken out": add(removal(10.5), frame("delta", at=11.2)),
    "a word to somebody who was let in again": add(
        removal(6), {"at": 9, "kind": "admitted", "session": S, "user": "v"}
    ),
    "what the last turn showed": add(frame("message", at=201.5, message="S-00000009", turn="", role="user")),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_oracle_allows(name: str) -> None:
    journal = good()
    GOOD[name](journal)
    assert found(journal) == {}


def test_a_run_that_was_broken_off_has_checked_nothing() -> None:
    journal = [each for each in good() if each["kind"] != "end"]
    facts = facts_of(journal)
    assert {row[-1] for row in goal_rows(facts, violations(facts))} == {"skipped"}


def test_a_violation_fails_its_figure() -> None:
    journal = good()
    add(frame("end"))(journal)
    facts = facts_of(journal)
    rows = {row[0]: row[-1] for row in goal_rows(facts, violations(facts))}
    assert rows["sockets: a turn that ended twice"] == "FAIL"
    assert rows["messages shown twice in a room"] == "pass"
