"""Dialect `session`, and what those who come late are shown in every dialect that sockets speak."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.conversation import Turn
from chat.dialects.base import Dialect, watching
from chat.dialects.catalogue import DIALECTS
from chat.dialects.chat import CHAT
from chat.dialects.framing import read_cursor
from chat.dialects.merging import merged
from chat.dialects.plan import PLAN
from chat.dialects.session import SESSION
from chat.dialects.session_frames import show_news
from chat.dialects.shapes import show_message
from chat.errors import Forbidden, TurnInProgress
from chat.events import (
    TERMINAL_NUMBER,
    ApprovalRequested,
    NumberedEvent,
    Progress,
    StageFinished,
    StageItem,
    StageStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    ToolCallDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolOutput,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from chat.messages import Message
from chat.news import MessageShown
from chat.requests import TurnRequest
from chat.rooms.joiners import rest_of
from tests.support.sockets import grown, said

TURN = Turn(
    "s-00000002", "s", TurnRequest("ann"), "s-00000001", "running", "i", datetime(2026, 11, 20, tzinfo=UTC)
)
ABOUT = {"session_id": "s", "message": {"id": TURN.id}}


def numbered(*events: TurnEvent) -> list[NumberedEvent]:
    ended = isinstance(events[-1], TurnFinished | TurnFailed | TurnCancelled)
    found = [NumberedEvent(number, event) for number, event in enumerate(events, 1)]
    return [*found[:-1], NumberedEvent(TERMINAL_NUMBER, events[-1])] if ended else found


def answer(text: str, size: int, *more: TurnEvent) -> list[NumberedEvent]:
    """A text in deltas of so many characters."""
    deltas = [TextDelta("t0", text[start : start + size]) for start in range(0, len(text), size)]
    return numbered(STARTED, StepStarted(0, "P", "m"), TextStarted("t0"), *deltas, *more)


def delta(text: str, *, offset: int, seq: int | str) -> dict[str, Any]:
    """The frame of a delta."""
    where = {"session_id": "s", "message_id": TURN.id, "offset": offset}
    return {"type": "message_delta", **where, "delta": text, "turn_id": TURN.id, "seq": seq}


def encoded(dialect: Dialect, events: list[NumberedEvent]) -> list[Any]:
    encoder = dialect.encoder(TURN)
    return [payload for each in events for payload in encoder.encode(each)]


STARTED = TurnStarted(TURN.id, "s", TURN.user_message_id, "t")
ANSWER = (STARTED, StepStarted(0, "P", "m"), TextStarted("t0"), TextDelta("t0", "a🎉"), TextDelta("t0", "bc"))


def test_a_room_sees_the_placeholder_the_deltas_and_the_end() -> None:
    end = (TextFinished("t0"), StepFinished("stop"), TurnFinished())
    told = {"id": TURN.id, "content": "a🎉bc", "is_streaming": False, "status": "complete"}
    assert encoded(SESSION, numbered(*ANSWER, *end)) == [
        {"type": "message_update", **ABOUT, "action": "new_message", "turn_id": TURN.id, "seq": 1},
        delta("a🎉", offset=0, seq=4),
        delta("bc", offset=3, seq=5),
        {
            "type": "message_update",
            **ABOUT,
            "message": told,
            "action": "completed",
            "turn_id": TURN.id,
            "seq": TERMINAL_NUMBER,
        },
    ]


@pytest.mark.parametrize(
    ("event", "action", "status"),
    [
        (TurnCancelled(), "cancelled", "cancelled"),
        (TurnFailed("X", "why", True), "failed", "failed"),
        (TurnFailed("INTERRUPTED", "why", True), "failed", "interrupted"),
    ],
)
def test_a_room_sees_how_it_ended(event: TurnEvent, action: str, status: str) -> None:
    last = encoded(SESSION, numbered(STARTED, event))[-1]
    assert (last["action"], last["message"]["status"]) == (action, status)
    if isinstance(event, TurnFailed):
        assert last["error"] == {"code": event.code, "message": "why", "retryable": True}
        assert last["message"]["error_message"] == "why"


DEEP = "[" * 600 + "]" * 600


@pytest.mark.parametrize(
    ("arguments", "args"), [('{"a":1}', {"a": 1}), ("", {}), ("no json", "no json"), (DEEP, DEEP)]
)
def test_a_room_sees_tools(arguments: str, args: Any) -> None:
    called = (ToolCallStarted("c", "clock"), ToolCallDelta("c", arguments), ToolCallFinished("c"))
    call, output = encoded(SESSION, numbered(STARTED, *called, ToolOutput("c", "clock", "noon")))[1:]
    assert (call["type"], call["action"], call["name"], call["args"]) == (
        "tool_update",
        "call",
        "clock",
        args,
    )
    assert (output["action"], output["output"], output["is_error"]) == ("output", "noon", False)


def test_a_room_sees_that_a_call_waits_and_that_somebody_said_no() -> None:
    denied = ToolOutput("c", "clock", "Not run", is_error=True, denied=True)
    asked, output = encoded(SESSION, numbered(STARTED, ApprovalRequested("c", "clock"), denied))[1:]
    assert (asked["type"], asked["action"], asked["name"], asked["id"]) == (
        "tool_update",
        "approval",
        "clock",
        "c",
    )
    assert (output["action"], output["is_error"], output["denied"]) == ("output", True, True)


def test_a_room_sees_stages_and_what_they_add_to_the_text() -> None:
    frames = encoded(
        SESSION,
        numbered(
            STARTED,
            StageStarted("pois"),
            StageItem("pois", {"name": "x"}),
            StageFinished("pois", [1], "One."),
            Progress(50),
        ),
    )
    assert [(each["type"], each.get("action"), each["seq"]) for each in frames[1:]] == [
        ("stage_update", "started", 2),
        ("stage_update", "item", 3),
        ("stage_update", "finished", 4),
        ("message_delta", None, "4.1"),
        ("stage_update", "progress", 5),
    ]


def test_the_whole_message_follows_the_delta_that_made_it_due() -> None:
    stage = StageFinished("pois", [1], "c" * 192)
    frames = encoded(SESSION, numbered(STARTED, TextDelta("t0", "a" * 255), TextDelta("t0", "b"), stage))
    [first, second] = [each for each in frames if each.get("action") == "updated"]
    assert (first["seq"], second["seq"]) == ("3.1", "4.2")
    assert first["message"] == {"id": TURN.id, "content": "a" * 255 + "b"}
    assert second["message"]["content"] == "a" * 255 + "b" + "c" * 192
    assert [each["seq"] for each in frames] == [1, 2, 3, "3.1", 4, "4.1", "4.2"]


@pytest.mark.parametrize("length", [255, 256, 257, 4_097, 65_537, 300_000])
@pytest.mark.parametrize("size", [1, 7, 100, 70_000])
def test_while_it_grows_the_whole_message_is_shown_whenever_it_has_grown_by_half(
    length: int, size: int
) -> None:
    text = ("word " * (length // 5 + 1))[:length]
    frames = encoded(SESSION, answer(text, size, TurnFinished()))
    assert said(frames) == text
    shown = [len(each["content"]) for each in grown(frames)]
    due: list[int] = []  # by the rule, counted over the lengths that the text has after each delta
    for so_far in [min(end, length) for end in range(size, length + size, size)]:
        if 256 <= so_far < 65_536 and (not due or so_far >= 1.5 * due[-1]):
            due.append(so_far)
    assert shown == due
    assert sum(shown) <= 3 * length
    assert bool(shown) == (length >= 256 and min(size, length) < 65_536)


def test_nobody_waits_longer_than_for_half_as_much_again_to_see_it_grow() -> None:
    shown = [len(each["content"]) for each in grown(encoded(SESSION, answer("x" * 300_000, 1)))]
    assert shown[:5] == [256, 384, 576, 864, 1296]
    assert (len(shown), shown[-1] > 65_536 / 1.5) == (14, True)


def test_errors_look_as_each_dialect_has_them() -> None:
    assert CHAT.face.error(Forbidden("no"))["payload"] == {
        "error": "no",
        "code": "FORBIDDEN",
        "retryable": False,
    }
    assert PLAN.face.error(Forbidden("no"))["message"] == "no"
    shown = SESSION.face.error(TurnInProgress("t"))
    assert (shown["error"], shown["error_code"], shown["details"]) == (
        "TurnInProgress",
        "TURN_IN_PROGRESS",
        {"turn_id": "t"},
    )


TEXTS = st.lists(
    st.text(min_size=1, max_size=6) | st.integers(100, 900).map(lambda size: "🎉x" * size),
    min_size=1,
    max_size=12,
)


@given(texts=TEXTS, data=st.data())
def test_a_snapshot_and_the_rest_are_the_whole_answer(texts: list[str], data: st.DataObject) -> None:
    deltas = [TextDelta("t0", text) for text in texts]
    events = numbered(
        STARTED, StepStarted(0, "P", "m"), TextStarted("t0"), *deltas, TextFinished("t0"), TurnFinished()
    )
    cut = data.draw(st.integers(0, len(events)))
    whole = "".join(texts)
    late = [*SESSION.face.snapshot(TURN, events[:cut]), *_rest(SESSION, events, cut)]
    assert said(late) == whole
    assert sum(len(each["content"]) for each in grown(late)) <= 3 * len(whole)
    chat = [*CHAT.face.snapshot(TURN, events[:cut]), *_rest(CHAT, events, cut)]
    assert "".join(str(each["payload"].get("text", "")) for each in chat) == whole
    assert [each["type"] for each in chat].count("chat_start") == 1
    assert chat[-1]["payload"]["done"] is True


@given(texts=TEXTS, data=st.data())
def test_whatever_was_merged_a_socket_goes_on_after_any_frame(texts: list[str], data: st.DataObject) -> None:
    """The group was shown what waited together; who resumes is shown what comes after the frame that they have."""
    stage = StageFinished("pois", [1], "🎉" * 300)
    events = numbered(STARTED, *(TextDelta("t0", text) for text in texts), stage, TurnFinished())
    cut = data.draw(st.integers(0, len(events)))
    encoder = SESSION.encoder(TURN)
    parts = (merged(events[:cut]), merged(events[cut:]))
    group = [payload for part in parts for each in part for payload in encoder.encode(each)]
    has = data.draw(st.integers(0, len(group) - 1))
    after = read_cursor(str(group[has]["seq"]), whole_event=False)
    again = list(rest_of(TURN, SESSION, events, after))
    assert said([*group[: has + 1], *again]) == "".join(texts) + "🎉" * 300
    deltas = [each for each in again if each["type"] == "message_delta"]
    assert sum(len(str(each["delta"])) for each in deltas) == sum(
        len(str(each["delta"])) for each in group[has + 1 :] if each["type"] == "message_delta"
    )


def test_a_snapshot_shows_the_message_whole_once() -> None:
    call = (ToolCallStarted("c", "clock"), ToolCallDelta("c", "{}"), ToolCallFinished("c"))
    pieces = [TextDelta("t0", "x" * 400), *call, TextDelta("t0", "y" * 400), *call, TextDelta("t0", "z")]
    events = numbered(STARTED, *pieces)
    assert [each["content"] for each in grown(list(SESSION.face.snapshot(TURN, events)))] == [
        "x" * 400 + "y" * 400
    ]
    ended = [*events, NumberedEvent(TERMINAL_NUMBER, TurnFinished())]
    assert grown(list(SESSION.face.snapshot(TURN, ended))) == []  # its last frame does


MOMENT = TURN.started_at
STORED = Message(
    TURN.id,
    "s",
    2,
    "assistant",
    "all of it",
    MOMENT,
    MOMENT.replace(hour=1),
    llm_model="m",
    response_time_ms=7,
    tokens_used=9,
    parent_message_id="s-00000001",
)
BEGAN = replace(
    STORED, content="", status="streaming", updated_at=MOMENT, response_time_ms=None, tokens_used=0
)


@pytest.mark.parametrize("known", [BEGAN, STORED])
def test_a_message_that_grows_has_all_keys_as_when_it_began(known: Message) -> None:
    frames = encoded(SESSION, answer("x" * 256, 256))
    [begun, _, updated] = [
        SESSION.face.filled(each, known) if SESSION.face.lacks(each) else each for each in frames
    ]
    assert begun["message"] == show_message(BEGAN)
    assert updated["message"] == show_message(BEGAN) | {"content": "x" * 256}
    assert (updated["action"], updated["seq"]) == ("updated", "4.1")


def test_a_message_that_ended_is_the_stored_one_or_else_what_the_turn_tells() -> None:
    last = encoded(SESSION, answer("x" * 70_000, 9_000, TurnFailed("INTERRUPTED", "why", True)))[-1]
    assert SESSION.face.lacks(last) == TURN.id
    assert SESSION.face.filled(last, STORED)["message"] == show_message(STORED)
    told = {"content": "x" * 65_536, "truncated": True, "is_streaming": False}
    told |= {"status": "interrupted", "error_message": "why"}
    assert SESSION.face.filled(last, BEGAN)["message"] == show_message(BEGAN) | told


def test_frames_of_tools_stages_and_whole_messages_lack_nothing() -> None:
    [whole] = show_news("s", MessageShown(STORED, "updated"))
    stage, _ = encoded(SESSION, numbered(StageFinished("pois", [1], "One.")))
    assert [SESSION.face.lacks(each) for each in (whole, stage, delta("x", offset=0, seq=1))] == ["", "", ""]


@given(cut=st.integers(0, 14))
def test_a_snapshot_of_a_plan_has_its_stages_once(cut: int) -> None:
    items = [StageItem("pois", {"name": f"p{number}"}) for number in range(3)]
    events = numbered(
        STARTED,
        *(StageStarted("intents"), StageFinished("intents", ["i"]), Progress(25)),
        *(StageStarted("pois"), *items, StageFinished("pois", [1, 2, 3]), Progress(50)),
        *(StageStarted("plan"), StageFinished("plan", ["o"]), Progress(100), TurnFinished()),
    )
    late = [*PLAN.face.snapshot(TURN, events[:cut]), *_rest(PLAN, events, cut)]
    kinds = [each["type"] for each in late if each["type"] not in ("progress", "poi")]
    assert kinds == ["intents", "pois", "plan", "done"]
    places = [each["data"]["name"] for each in late if each["type"] == "poi"]
    assert places in (["p0", "p1", "p2"], [])


def _rest(dialect: Dialect, events: list[NumberedEvent], cut: int) -> list[Any]:
    """As the group gets it: by an encoder that saw everything before."""
    before, whole = encoded(dialect, events[:cut]), encoded(dialect, events)
    return whole[len(before) :]


def test_no_frame_is_longer_than_the_service_takes() -> None:
    text = "\u0001🎉" * 200_000
    deltas = [TextDelta("t0", text[start : start + 8192]) for start in range(0, len(text), 8192)]
    events = numbered(STARTED, StepStarted(0, "P", "m"), TextStarted("t0"), *deltas)
    for dialect in (SESSION, CHAT):
        assert max(len(orjson.dumps(each)) for each in dialect.face.snapshot(TURN, events)) < 1_000_000
    assert said(list(SESSION.face.snapshot(TURN, events))) == text
    long = Message("m", "s", 1, "assistant", text, TURN.started_at, TURN.started_at)
    [frame] = show_news("s", MessageShown(long, "updated"))
    assert len(orjson.dumps(frame)) < 1_000_000
    shown: Any = frame["message"]
    assert text.startswith(shown["content"]) and shown["truncated"] is True


def test_a_snapshot_of_nothing_is_nothing() -> None:
    faces = [each.face.snapshot for each in watching(DIALECTS).values()]
    assert [list(show(TURN, [])) for show in faces if show] == [[]] * 3
