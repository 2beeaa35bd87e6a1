"""Dialect `session`, and what those who come late are shown in every dialect that sockets speak."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.dialects.catalogue import DIALECTS
from chat.dialects.chat import CHAT
from chat.dialects.plan import PLAN
from chat.dialects.session import SESSION
from chat.dialects.session_frames import show_news
from chat.errors import Forbidden, TurnInProgress
from chat.events import (
    TERMINAL_NUMBER,
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
from tests.support.sockets import said

TURN = Turn(
    "s-00000002", "s", TurnRequest("ann"), "s-00000001", "running", "i", datetime(2026, 11, 20, tzinfo=UTC)
)
ABOUT = {"session_id": "s", "message": {"id": TURN.id}}


def numbered(*events: TurnEvent) -> list[NumberedEvent]:
    ended = isinstance(events[-1], TurnFinished | TurnFailed | TurnCancelled)
    found = [NumberedEvent(number, event) for number, event in enumerate(events, 1)]
    return [*found[:-1], NumberedEvent(TERMINAL_NUMBER, events[-1])] if ended else found


def encoded(dialect: Dialect, events: list[NumberedEvent]) -> list[Any]:
    encoder = dialect.encoder(TURN)
    return [payload for each in events for payload in encoder.encode(each)]


STARTED = TurnStarted(TURN.id, "s", TURN.user_message_id, "t")
ANSWER = (STARTED, StepStarted(0, "P", "m"), TextStarted("t0"), TextDelta("t0", "a🎉"), TextDelta("t0", "bc"))


def test_a_room_sees_the_placeholder_the_deltas_and_the_end() -> None:
    end = (TextFinished("t0"), StepFinished("stop"), TurnFinished())
    assert encoded(SESSION, numbered(*ANSWER, *end)) == [
        {"type": "message_update", **ABOUT, "action": "new_message", "turn_id": TURN.id, "seq": 1},
        {
            "type": "message_update",
            **ABOUT,
            "delta": "a🎉",
            "offset": 0,
            "action": "delta",
            "turn_id": TURN.id,
            "seq": 4,
        },
        {
            "type": "message_update",
            **ABOUT,
            "delta": "bc",
            "offset": 3,
            "action": "delta",
            "turn_id": TURN.id,
            "seq": 5,
        },
        {
            "type": "message_update",
            **ABOUT,
            "action": "completed",
            "turn_id": TURN.id,
            "seq": TERMINAL_NUMBER,
        },
    ]


@pytest.mark.parametrize(
    ("event", "fields"),
    [
        (TurnCancelled(), {"action": "cancelled"}),
        (
            TurnFailed("X", "why", True),
            {"action": "failed", "error": {"code": "X", "message": "why", "retryable": True}},
        ),
    ],
)
def test_a_room_sees_how_it_ended(event: TurnEvent, fields: dict[str, Any]) -> None:
    last = encoded(SESSION, numbered(STARTED, event))[-1]
    assert fields.items() <= last.items()


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
    assert [(each["type"], each["action"]) for each in frames[1:]] == [
        ("stage_update", "started"),
        ("stage_update", "item"),
        ("stage_update", "finished"),
        ("message_update", "delta"),
        ("stage_update", "progress"),
    ]


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


TEXTS = st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=12)


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
    chat = [*CHAT.face.snapshot(TURN, events[:cut]), *_rest(CHAT, events, cut)]
    assert "".join(str(each["payload"].get("text", "")) for each in chat) == whole
    assert [each["type"] for each in chat].count("chat_start") == 1
    assert chat[-1]["payload"]["done"] is True


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
    faces = [each.socket for each in DIALECTS.values() if each.socket]
    assert [list(each.snapshot(TURN, [])) for each in faces] == [[]] * 3
