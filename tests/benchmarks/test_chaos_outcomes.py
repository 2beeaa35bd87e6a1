"""How turns of a hostile run ended beside what was asked, whether memory is flat, and what is written down of it."""

import random
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.chaos.facts import put_in_order
from benchmarks.chaos.figures import goal_rows, violations
from benchmarks.chaos.frames import READERS
from benchmarks.chaos.journal import Journal, read_journal
from benchmarks.chaos.orders import MIX, some_order
from benchmarks.chaos.outcomes import memory_growth, outcomes
from benchmarks.chaos.streams import Segment, take
from local.model_server.directives import parse

S, QUESTION, TURN = "S", "S-00000001", "S-00000002"


def ended(order: dict[str, Any], answer: dict[str, Any], *more: dict[str, Any]) -> dict[str, int]:
    """What a turn came to instead of what was asked for."""
    asked = {"kind": "order", "session": S, "marker": "u.1", "way": "turn", "exact": True, "code": ""} | order
    message = {"kind": "stored", "session": S, "began": 10, "ended": 12, "parent": "", "status": "complete"}
    question = message | {"id": QUESTION, "role": "user", "content": "u.1 #chunks=2", "code": ""}
    said = message | {"id": TURN, "role": "assistant", "parent": QUESTION, "code": ""} | answer
    found = outcomes(put_in_order({"at": 1, **each} for each in (asked, question, said, *more)))
    assert found.turns == 1
    assert found.as_asked == 1 - found.others.total()
    return dict(found.others)


FINE = {"end": "finished", "said": "word1 word2"}
LIMITED = {"end": "failed", "said": "", "code": "MODEL_RATE_LIMITED"}
CUT = {"end": "failed", "said": "word1 word2", "code": "MODEL_BAD_REPLY", "exact": False}
STOP = {
    "kind": "cancel",
    "session": S,
    "turn": TURN,
    "began": 11,
    "until": 12,
    "by": "u",
    "status": "cancelled",
}
INTERRUPTION = {"kind": "cancel", "session": S, "turn": "", "began": 11, "until": 13, "by": "u"}


@pytest.mark.parametrize(
    ("order", "answer", "more"),
    [
        (FINE, {"content": "word1 word2"}, []),
        (LIMITED, {"content": "", "status": "failed", "code": "MODEL_RATE_LIMITED"}, []),
        (CUT, {"content": "word1", "status": "failed", "code": "MODEL_BAD_REPLY"}, []),
        (FINE, {"content": "word1", "status": "cancelled", "code": "cancelled"}, [STOP]),
        (FINE, {"content": "word1", "status": "cancelled", "code": "cancelled"}, [INTERRUPTION]),
        (FINE, {"content": "word1 word2"}, [STOP | {"status": "finished"}]),
    ],
)
def test_a_turn_ended_as_it_was_asked_to(
    order: dict[str, Any], answer: dict[str, Any], more: list[dict[str, Any]]
) -> None:
    assert ended(order, answer, *more) == {}


@pytest.mark.parametrize(
    ("order", "answer", "more", "other"),
    [
        (FINE, {"content": "word1"}, [], "finished, another text"),
        (
            FINE,
            {"content": "word1", "status": "interrupted", "code": "INTERRUPTED"},
            [],
            "INTERRUPTED in place of finished",
        ),
        (LIMITED, {"content": "word1"}, [], "finished in place of failed MODEL_RATE_LIMITED"),
        (
            LIMITED,
            {"content": "", "status": "failed", "code": "INTERNAL"},
            [],
            "INTERNAL in place of MODEL_RATE_LIMITED",
        ),
        (
            CUT,
            {"content": "word2", "status": "failed", "code": "MODEL_BAD_REPLY"},
            [],
            "MODEL_BAD_REPLY, another text",
        ),
        (
            FINE,
            {"content": "word1", "status": "cancelled", "code": "cancelled"},
            [],
            "cancelled by nobody",
        ),
        (
            FINE,
            {"content": "word1", "status": "cancelled", "code": "cancelled"},
            [INTERRUPTION | {"session": "other"}],
            "cancelled by nobody",
        ),
        (FINE, {"content": "word1 word2"}, [STOP], "finished, told to be cancelled"),
    ],
)
def test_a_turn_ended_otherwise(
    order: dict[str, Any], answer: dict[str, Any], more: list[dict[str, Any]], other: str
) -> None:
    assert ended(order, answer, *more) == {other: 1}


def memory(*kilobytes: int) -> list[dict[str, Any]]:
    spread = 300 / len(kilobytes)
    return [{"at": spread * n, "kind": "memory", "kb": kb} for n, kb in enumerate(kilobytes)]


@pytest.mark.parametrize(
    ("samples", "percent"),
    [([50, 60, 100, 100, 100, 100, 100, 100], 0), ([50, 60, 100, 100, 105, 105, 110, 110], 10)],
)
def test_memory_is_flat_when_the_last_quarter_is_as_the_second(samples: list[int], percent: float) -> None:
    assert memory_growth(put_in_order(memory(*samples))) == pytest.approx(percent)


def test_memory_that_grows_fails_and_a_short_run_says_nothing_of_it() -> None:
    end = {"at": 400, "kind": "end"}
    for samples, verdict in ((memory(*range(100, 200)), "FAIL"), (memory(*range(100, 200))[:40], "skipped")):
        facts = put_in_order([*samples, end])
        assert goal_rows(facts, violations(facts))[-1][-1] == verdict


def test_a_journal_is_read_as_it_was_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.note("acked", session=S, user="Zoë", marker="u.1", message="", by="post")
    journal.close()
    [record] = read_journal(journal.path)
    assert (record["kind"], record["user"]) == ("acked", "Zoë")


def test_the_stand_in_obeys_every_order() -> None:
    dice = random.Random(1)
    for make, _ in MIX:
        for _ in range(20):
            parse("u.1 " + make(dice).text)
    assert {some_order(dice).end for _ in range(200)} == {"finished", "failed"}


def test_the_same_seed_asks_for_the_same() -> None:
    assert [some_order(random.Random(7)) for _ in range(3)] == [
        some_order(random.Random(7)) for _ in range(3)
    ]


def replies(*frames: tuple[str, str]) -> Segment:
    segment = Segment("r", S, "u", "delta", 0)
    for event_id, data in frames:
        take(segment, event_id, data)
    return segment


def test_a_stream_is_read_with_its_end() -> None:
    delta = '{"type":"text.delta","delta":"a"}'
    whole = replies(("4", delta), ("5.1", delta), ("", "[DONE]"))
    assert (whole.text, whole.last_id, whole.ends, whole.beyond, whole.over) == ("aa", "5.1", 1, 0, True)
    assert replies(("4", delta), ("", "[DONE]"), ("", "[DONE]")).ends == 2
    assert replies(("", "[DONE]"), ("5", delta)).beyond == 1
    assert not replies(("4", delta)).over


def test_a_follower_who_is_sent_away_does_not_know_the_end() -> None:
    failed = '{"type":"error","message":"-","code":"STORE_UNAVAILABLE"}'
    assert not replies(("", failed), ("", "[DONE]")).over
    assert replies(("99999999", failed), ("", "[DONE]")).over
    error = '{"type":"chat_error","payload":{"code":"STORE_UNAVAILABLE"},"seq":0}'
    assert replies(("", error)).away


@pytest.mark.parametrize(
    ("dialect", "frame", "what"),
    [
        ("chat", 'Echo: {"type":"hello"}', "welcome"),
        ("chat", {"type": "chat_start", "payload": {}, "turn_id": TURN, "seq": 1}, "start"),
        ("chat", {"type": "chat_chunk", "payload": {"text": "a", "done": False}, "turn_id": TURN}, "delta"),
        ("chat", {"type": "chat_chunk", "payload": {"text": "", "done": True}, "turn_id": TURN}, "end"),
        ("chat", {"type": "chat_error", "payload": {"code": "INTERRUPTED"}, "turn_id": TURN}, "end"),
        ("chat", {"type": "chat_error", "payload": {"code": "FORBIDDEN"}}, "refused"),
        ("session", {"type": "connection_established"}, "welcome"),
        ("session", {"type": "message_update", "message": {"id": TURN}, "action": "new_message"}, "message"),
        (
            "session",
            {
                "type": "message_update",
                "message": {"id": TURN, "content": "a"},
                "action": "updated",
                "turn_id": TURN,
            },
            "delta",
        ),
        ("session", {"type": "message_update", "message": {"id": TURN}, "action": "failed"}, "end"),
        (
            "session",
            {"type": "message_delta", "message_id": TURN, "turn_id": TURN, "delta": "a", "offset": 0},
            "delta",
        ),
        ("session", {"type": "error", "error_code": "FORBIDDEN"}, "refused"),
    ],
)
def test_frames_are_read_in_both_dialects(dialect: str, frame: Any, what: str) -> None:
    seen = READERS[dialect](frame)
    assert seen is not None and seen.what == what
    if what in ("start", "delta", "end"):
        assert seen.turn == TURN


def test_the_last_frame_of_a_room_brings_the_whole_text_unless_it_is_cut() -> None:
    frame: dict[str, Any] = {"type": "message_update", "action": "completed"}
    frame["message"] = {"id": TURN, "role": "assistant", "content": "word1"}
    seen = READERS["session"](frame)
    assert seen is not None and seen.whole == "word1"
    frame["message"]["truncated"] = True
    seen = READERS["session"](frame)
    assert seen is not None and seen.whole is None


def test_each_part_of_the_results_leaves_the_other_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = tmp_path / "RESULTS.md"
    monkeypatch.setattr(report, "RESULTS", results)
    sizes = report.Sizes()
    report.write_results(["| speed 1 |"], sizes, "idle")
    report.write_chaos(["| chaos 1 |"], "idle")
    report.write_chaos(["| chaos 2 |"], "idle")
    report.write_results(["| speed 2 |"], sizes, "idle")
    text = results.read_text()
    assert [text.count(each) for each in ("speed 1", "speed 2", "chaos 1", "chaos 2")] == [0, 1, 0, 1]
    assert text.count(report.CHAOS_HEADING) == 1
    assert "\n\n\n" not in text
    assert text.index("speed 2") < text.index(report.CHAOS_HEADING) < text.index("chaos 2")
