"""Dialect `ai-chat`: event by event, whole, and what it reads."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import events
from chat.conversation import Turn
from chat.dialects.ai_chat import AI_CHAT
from chat.dialects.ai_chat.ai_chat_encoder import AiChatEncoder
from chat.dialects.ai_chat.ai_chat_schemas import AiChatCompletion, AiChatError, AiChatFrame
from chat.dialects.base import Asked, Asker, Door, Reply
from chat.errors import ChatError, RateLimited, WithFiles
from chat.events import TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnEvent
from chat.requests import TurnRequest
from chat.schemas.fields import read_json, validate
from tests.support.event_samples import SAMPLES, STARTED

CASES: list[tuple[TurnEvent, JSONObject]] = [
    (STARTED, {"delta": {"role": "assistant"}, "sessionState": "s", "context": {"turnId": "t"}}),
    (events.TextDelta("a", "Our"), {"delta": {"content": "Our"}}),
    (
        events.StageFinished("plan", [1], "Rome"),
        {"delta": {"content": "Rome"}, "context": {"stage": {"name": "plan", "result": [1]}}},
    ),
    (events.Progress(25), {"delta": {}, "context": {"progress": 25}}),
    (
        events.ToolOutput("c1", "query", "42"),
        {"delta": {}, "context": {"toolOutput": {"id": "c1", "name": "query", "output": "42"}}},
    ),
    (
        events.ApprovalRequested("c1", "pay"),
        {"delta": {}, "context": {"approval": {"id": "c1", "name": "pay"}}},
    ),
    (events.TurnFailed("X", "Away", True, 503), {"error": {"code": "X", "message": "Away"}}),
    (events.TurnFinished(), {"delta": {}, "sessionState": "s", "context": {"status": "finished"}}),
    (events.TurnCancelled(), {"delta": {}, "sessionState": "s", "context": {"status": "cancelled"}}),
]


def encoded(*said: TurnEvent) -> list[JSONObject]:
    encoder = AiChatEncoder("t", "s")
    return [
        line for number, each in enumerate(said, 1) for line in encoder.encode(NumberedEvent(number, each))
    ]


@pytest.mark.parametrize(("event", "line"), CASES, ids=lambda each: type(each).__name__)
def test_each_event_has_its_line(event: TurnEvent, line: JSONObject) -> None:
    assert encoded(event) == [line]


@pytest.mark.parametrize("kind", SAMPLES, ids=lambda kind: kind.__name__)
def test_every_line_is_one_that_is_described(kind: type[TurnEvent]) -> None:
    for line in encoded(SAMPLES[kind]):
        AiChatFrame.model_validate_json(orjson.dumps(line))


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [(['{"a"', ":1}"], {"a": 1}), ([], {}), (['{"cut'], '{"cut'), (['{"a":"\\ud800"}'], '{"a":"\\ud800"}')],
)
def test_a_tool_call_is_shown_once_and_whole(pieces: list[str], shown: Any) -> None:
    said = [events.ToolCallStarted("c", "now"), *(events.ToolCallDelta("c", each) for each in pieces)]
    [line] = encoded(*said, events.ToolCallFinished("c"))
    assert line["context"] == {"toolCall": {"id": "c", "name": "now", "arguments": shown}}


def test_the_last_line_has_the_usage_of_all_model_calls() -> None:
    [last] = encoded(events.UsageReported(1, 2), events.UsageReported(10, 20), events.TurnFinished())
    usage = {"promptTokens": 11, "completionTokens": 22}
    assert last["context"] == {"status": "finished", "usage": usage}


NOW = datetime(2026, 11, 20, tzinfo=UTC)
TURN = Turn("t", "s", TurnRequest("ann"), "m", "running", "i", NOW)


def door() -> Door[Any]:
    assert AI_CHAT.door is not None
    return AI_CHAT.door


def opened(reply: Reply) -> tuple[int, Any]:
    assert reply.headers["content-type"] == "application/json"
    return reply.status, orjson.loads(reply.body)


def whole(*said: TurnEvent, ended: bool = True) -> tuple[int, Any]:
    numbered = [NumberedEvent(number, each) for number, each in enumerate(said, 1)]
    if ended:
        numbered[-1] = NumberedEvent(TERMINAL_NUMBER, said[-1])
    show = door().whole
    assert show is not None
    return opened(show(TURN, numbered))


SAID = (STARTED, events.TextDelta("a", "Hel"), events.Progress(50), events.TextDelta("a", "lo"))


@pytest.mark.parametrize(
    ("end", "status"), [(events.TurnFinished(), "finished"), (events.TurnCancelled(), "cancelled")]
)
def test_a_whole_reply_has_all_that_the_lines_have(end: TurnEvent, status: str) -> None:
    stages = [events.StageFinished("a", 1, "!"), events.StageFinished("b", 2)]
    code, found = whole(
        *SAID, *stages, events.ToolOutput("c", "now", "noon"), events.UsageReported(1, 2), end
    )
    assert code == 200
    assert found["message"] == {"role": "assistant", "content": "Hello!"}
    assert found["sessionState"] == "s"
    assert found["context"] == {
        "turnId": "t",
        "status": status,
        "usage": {"promptTokens": 1, "completionTokens": 2},
        "stages": [{"name": "a", "result": 1}, {"name": "b", "result": 2}],
        "toolOutputs": [{"id": "c", "name": "now", "output": "noon"}],
    }
    AiChatCompletion.model_validate(found)


def test_a_turn_that_failed_is_an_error_whatever_it_said() -> None:
    assert whole(*SAID, events.TurnFailed("X", "Away", True, 503)) == (
        503,
        {"error": {"code": "X", "message": "Away"}},
    )


def test_what_is_there_of_a_turn_that_goes_on_is_no_answer() -> None:
    for said in (SAID, ()):
        code, found = whole(*said, ended=False)
        assert (code, found["error"]["code"]) == (409, "CONFLICT")


def test_a_refusal_has_its_shape_and_says_when_to_come_back() -> None:
    refuse = door().refusal
    assert refuse is not None
    reply = refuse(RateLimited(retry_after=1.2))
    assert opened(reply) == (429, {"error": {"code": "RATE_LIMITED", "message": RateLimited().message}})
    assert reply.headers["retry-after"] == "2"


# What is asked.


def asked(body: Any, path: str = "/api/ai-chat") -> Asked:
    return door().read(validate(door().body, body), Asker("ann", "k", 1000, path=path))


HI = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize("name", ["sessionState", "session_state"])
def test_both_spellings_name_the_session(name: str) -> None:
    request = asked({"messages": [HI, {"role": "assistant", "content": "Hello"}, HI], name: "s1"}).request
    assert (request.session_id, request.history, request.content) == ("s1", (), "Hi")
    assert asked({"messages": [HI], name: None}).request.session_id == ""


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/api/ai-chat", False),
        ("/api/ai-chat/", False),
        ("/api/ai-chat/stream", True),
        ("/API/AI-CHAT/STREAM/", True),
    ],
)
def test_the_path_says_whether_it_comes_as_a_stream(path: str, stream: bool) -> None:
    assert asked({"messages": [HI]}, path).stream is stream


def test_null_in_one_spelling_leaves_the_other() -> None:
    found = asked({"messages": [HI], "sessionState": None, "session_state": "s"})
    assert found.request.session_id == "s"


@pytest.mark.parametrize("files", [[{"contentType": "image/png"}], "x"])
def test_files_are_refused_in_json_too_and_not_passed_over(files: Any) -> None:
    with pytest.raises(WithFiles):
        asked({"messages": [{**HI, "files": files}]})
    assert asked({"messages": [{**HI, "files": files}, HI]}).request.content


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool"]) | NESTED,
        "content": st.text(max_size=9) | NESTED,
        "context": NESTED,
        "files": NESTED,
    },
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "messages": st.lists(MESSAGE | NESTED, max_size=3) | NESTED,
        "sessionState": st.text() | NESTED,
        "session_state": st.text() | NESTED,
        "context": NESTED,
        "stream": NESTED,
    },
)


@given(BODY)
def test_whatever_is_sent_is_read_or_refused_in_its_shape(body: dict[str, Any]) -> None:
    try:
        assert asked(read_json(json.dumps(body), refusal="")).request.content.strip()
    except ChatError as error:
        refuse = door().refusal
        assert refuse is not None
        status, shown = opened(refuse(error))
        assert status in (400, 413, 415, 422)
        AiChatError.model_validate(shown)
