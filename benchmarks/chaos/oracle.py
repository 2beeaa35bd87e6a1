"""What must hold after a run, whatever was done to the stack: messages, sessions and HTTP streams.

Each check takes the facts of a journal and gives what breaks it. What sockets saw is judged in `oracle_sockets.py`,
how turns ended in `outcomes.py`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.chaos.facts import Facts, Violation, marker_of, seq_of
from benchmarks.chaos.journal import Record
from benchmarks.chaos.stack import VICTIM
from local.model_server import expected_text

PROBED = expected_text(3)


def lost(facts: Facts) -> Iterator[Violation]:
    """Every message that was acknowledged, or shown in a room, is in its session's list once; no message is there
    twice, acknowledged or not."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in facts.questions:
        found[each["session"], marker_of(each["content"])].append(each["id"])
    for (session, marker), ids in found.items():
        if marker in facts.orders and len(ids) > 1:
            yield Violation("lost", f"{marker} is stored {len(ids)} times", session, message=ids[1])
    for each in facts.acked:
        ids = found.get((each["session"], each["marker"]), [])
        if not ids or (each["message"] and each["message"] not in ids):
            what = f"{each['marker']} of {each['user']}, acknowledged by {each['by']}, is not there"
            yield Violation("lost", what, each["session"], message=each["message"])
    listed = {each["session"]: each["at"] for each in facts.sessions}
    shown = {frame["message"]: frame for frames in facts.frames.values() for frame in frames if _shows(frame)}
    for message, frame in shown.items():
        # What was said after its session was listed is our own last turn there.
        if message not in facts.stored and frame["at"] < listed.get(frame["session"], float("inf")):
            yield Violation(
                "lost", "it was shown in the room, and is not there", frame["session"], "", message
            )


def _shows(frame: Record) -> bool:
    return frame["what"] == "message"


def answered_twice(facts: Facts) -> Iterator[Violation]:
    """A question has one answer, and one more for each time that another was asked for."""
    asked: Counter[str] = Counter()
    for each in facts.anew:
        message = facts.stored.get(each["message"])
        if message is not None:
            asked[message["parent"] if message["role"] == "assistant" else message["id"]] += 1
    answers = Counter(each["parent"] for each in facts.answers if each["parent"])
    for question, count in answers.items():
        if count > 1 + asked[question]:
            what = f"{count} answers, and {asked[question]} times another was asked for"
            yield Violation("answered twice", what, question.rpartition("-")[0], message=question)


def stuck(facts: Facts) -> Iterator[Violation]:
    """After settling no session has a turn that runs, an answer that still streams, or a question that nobody
    answered; and each takes a new turn, which ends well."""
    for each in facts.sessions:
        if each["running_turn"] or each["problem"]:
            what = each["problem"] or "a turn runs"
            yield Violation("stuck", what, each["session"], each["running_turn"] or "")
    for each in facts.stored.values():
        if each["status"] == "streaming":
            yield Violation("stuck", "it is still streaming", each["session"], each["id"], each["id"])
    yield from _unanswered(facts)
    probed = {each["session"]: each for each in facts.probes}
    for each in facts.sessions:
        probe = probed.get(each["session"])
        if probe is None or (probe["said"], probe["ends"]) != (PROBED, 1):
            how = "was not asked" if probe is None else f"{probe['status']} {probe['code']} {probe['said']!r}"
            yield Violation("stuck", f"a new turn does not end well: {how}", each["session"])


def _unanswered(facts: Facts) -> Iterator[Violation]:
    """All that wait are answered by the turn of the newest of them: so a question is answered by any turn whose
    question is not older."""
    newest: dict[str, int] = {}
    for each in facts.answers:
        if each["parent"]:
            newest[each["session"]] = max(newest.get(each["session"], 0), seq_of(each["parent"]))
    for each in facts.questions:
        order = facts.orders.get(marker_of(each["content"]))
        if order and order["way"] == "turn" and seq_of(each["id"]) > newest.get(each["session"], 0):
            what = f"{order['marker']} waits, and nobody answers it"
            yield Violation("stuck", what, each["session"], message=each["id"])


def streams(facts: Facts) -> Iterator[Violation]:
    """Every stream ends by exactly one terminal frame, its last one, unless the instance behind it was killed; then
    it does for the reader who comes back. What one reader read is the text that is stored."""
    for segments in facts.readers.values():
        for each in segments:
            yield from _segment(facts, each)
        told = [each for each in segments if each["stream"]]
        if told:
            yield from _reader(facts, segments, told)


def _segment(facts: Facts, each: Record) -> Iterator[Violation]:
    def wrong(what: str) -> Violation:
        where = f"{each['reader']} at instance {each['instance']}, dialect {each['dialect']}"
        return Violation("streams", f"{what} ({where})", each["session"], each["turn"])

    if each["ends"] > 1 or each["beyond"]:
        yield wrong(f"{each['ends']} terminal frames, {each['beyond']} frames after the first one")
    excused = each["instance"] == VICTIM and facts.killed(VICTIM, each["began"], each["ended"])
    excused = excused or facts.was_removed(each["session"], each["user"], each["began"], each["ended"])
    if each["ends"] or excused or (each["how"] == "whole" and not each["stream"]):
        return
    if each["how"] == "whole":
        yield wrong("the stream ended without a terminal frame")
    elif each["how"] in ("torn", "hanging"):
        what = "the stream" if each["stream"] else "the request"
        yield wrong(f"{what} was {each['how']}, and its instance was not killed ({each['code']})")


def _reader(facts: Facts, segments: Sequence[Record], told: Sequence[Record]) -> Iterator[Violation]:
    first, last = segments[0], segments[-1]
    turn = told[0]["turn"]
    ends = sum(each["ends"] for each in told if not each["away"])
    if facts.was_removed(first["session"], first["user"], first["began"], last["ended"]):
        return

    def wrong(what: str) -> Violation:
        return Violation("streams", f"{what} ({first['reader']})", first["session"], turn)

    if ends != 1:
        yield wrong(f"the reader came {len(segments)} times and got {ends} terminal frames")
        return
    stored = facts.stored.get(turn)
    text = "".join(each["text"] for each in told)
    if stored is None:
        yield wrong("the answer is not there")
    elif stored["content"] != text and not _died_unwritten(facts, stored, told, text):
        yield wrong(
            f"{len(text)} characters were read, and others stored: {difference(text, stored['content'])}"
        )


def _died_unwritten(facts: Facts, stored: Record, told: Sequence[Record], text: str) -> bool:
    """Readers at the instance that makes a turn get words before they are stored: when it is killed, what it said
    within the last flush (docs/architecture.md) is known to them alone."""
    killed = any(
        each["instance"] == VICTIM and facts.killed(VICTIM, each["began"], stored["ended"]) for each in told
    )
    return killed and stored["status"] == "interrupted" and text.startswith(stored["content"])


def difference(read: str, stored: str) -> str:
    """Where two texts part."""
    place = next(
        (index for index, (a, b) in enumerate(zip(read, stored, strict=False)) if a != b),
        min(len(read), len(stored)),
    )
    return f"from {place} on {read[place : place + 30]!r} and {stored[place : place + 30]!r}"


def torn(facts: Facts) -> Counter[str]:
    """How the replies were left."""
    return Counter(each["how"] for segments in facts.readers.values() for each in segments if each["stream"])
