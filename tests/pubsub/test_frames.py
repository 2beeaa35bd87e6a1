"""What clients say, dialect by dialect, and how events and replies travel in both ways."""

import base64
import hashlib
import hmac
import os
import subprocess
import sys
from typing import Any, get_args

import orjson
import pytest

from chat.calls import Approval
from chat.dialects.ai_sdk.socket_face import AbortFrame, ResumeFrame, SendFrame
from chat.dialects.catalogue import DIALECTS
from chat.errors import ChatError, Forbidden, InvalidBody, NotFound, Unauthenticated, ValidationError
from chat.pubsub.cloud_events import check_signature, read_event, show_reply
from chat.pubsub.names import EVENTS, SYSTEM_EVENTS
from chat.pubsub.socket_events import Accepted, Said, SocketEvent
from chat.pubsub.trigger_json import read_trigger, show_refusal, show_return
from chat.requests import TRIP, Action, Answered, Approve, Cancel, Resume, Say, Typing
from tests.support.processes import ROOT

GIVEN: dict[str, Any] = {"pois": [], "requirements": [], "plan": []}


SAID: list[tuple[str, Any, str, Action | type[ChatError]]] = [
    ("chat", {"type": "chat", "payload": {"text": "Hi"}}, "message", Say("Hi")),
    ("chat", {"text": "Hi"}, "chat", Say("Hi")),
    ("chat", {"payload": {"text": "Hi"}}, "chat", Say("Hi")),
    ("chat", {"type": "chat"}, "message", ValidationError),
    ("chat", {"type": "chat", "payload": {"text": " "}}, "message", ValidationError),
    ("chat", {"type": "chat", "payload": {"text": 7}}, "message", ValidationError),
    ("chat", {"type": "chat", "payload": "Hi"}, "message", ValidationError),
    ("chat", {"type": "chat_cancel"}, "message", Cancel()),
    ("chat", "", "chat_cancel", Cancel()),
    ("chat", {"type": "chat_resume", "payload": {"turn_id": "t", "after": 3}}, "message", Resume("t", 3)),
    ("chat", {"type": "chat_resume", "payload": {}}, "message", ValidationError),
    ("chat", {"type": "chat_resume", "payload": {"turn_id": "t", "after": -1}}, "message", ValidationError),
    ("chat", '{"type":"other"}', "message", Answered('Echo: {"type":"other"}')),
    ("chat", "[1]", "message", Answered("Echo: [1]")),
    ("chat", "null", "message", Answered("Echo: null")),
    ("chat", "", "message", InvalidBody),
    ("chat", "no json", "message", InvalidBody),
    ("plan", {"message": "plan it"}, "message", Say("plan it", pipeline=TRIP, input={"given": GIVEN})),
    (
        "plan",
        {"message": "x", "plan": [{"a": 1}]},
        "message",
        Say("x", pipeline=TRIP, input={"given": {**GIVEN, "plan": [{"a": 1}]}}),
    ),
    ("plan", {"message": " "}, "message", ValidationError),
    ("plan", {"text": "x"}, "message", ValidationError),
    ("plan", {"type": "cancel"}, "message", Cancel()),
    ("plan", {"type": "cancel", "message": None, "turn_id": None}, "message", Cancel()),
    ("plan", {"type": "resume", "turn_id": "t", "after": 3}, "message", Resume("t", 3)),
    ("session", {"type": "resume", "turn_id": "t", "after": 41}, "message", Resume("t", 41)),
    ("session", {"type": "resume", "turn_id": "t", "after": "41"}, "message", Resume("t", 41)),
    ("session", {"type": "resume", "turn_id": "t", "after": "41.2"}, "message", Resume("t", 41, 2)),
    ("session", {"type": "resume", "turn_id": "t"}, "message", Resume("t", 0)),
    ("session", {"type": "resume", "turn_id": "t", "after": "41.x"}, "message", ValidationError),
    ("session", {"type": "resume", "turn_id": "t", "after": [41]}, "message", ValidationError),
    ("plan", {"type": "ping"}, "message", Answered({"type": "pong"})),
    ("plan", [], "message", InvalidBody),
    ("session", {"type": "send_message", "content": "Hi"}, "message", Say("Hi")),
    ("session", {"content": "Hi", "request_id": "r"}, "send_message", Say("Hi", "r")),
    (
        "session",
        {"type": "send_message", "content": "Hi", "reply": False, "parent_message_id": "m"},
        "message",
        Say("Hi", reply=False, parent_message_id="m"),
    ),
    ("session", {"type": "send_message", "content": ""}, "message", ValidationError),
    (
        "session",
        {"type": "send_message", "content": "x", "request_id": "r" * 256},
        "message",
        ValidationError,
    ),
    (
        "session",
        {"type": "approve_tool", "approvals": [{"call_id": "c", "approved": True, "arguments": {"a": 1}}]},
        "message",
        Approve((Approval("c", True, '{"a":1}'),)),
    ),
    (
        "session",
        {"approvals": [{"call_id": "c", "approved": False, "reason": "No"}], "request_id": "r"},
        "approve_tool",
        Approve((Approval("c", False, reason="No"),), "r"),
    ),
    *(
        ("session", {"type": "approve_tool", "approvals": each}, "message", ValidationError)
        for each in (None, [], {}, [{}], [{"call_id": "c"}], [{"call_id": "c", "approved": 1}])
    ),
    ("session", {"type": "typing_start"}, "message", Typing(is_typing=True)),
    ("session", "", "typing_stop", Typing(is_typing=False)),
    ("session", {"type": "cancel", "turn_id": "t"}, "message", Cancel("t")),
    ("session", {"type": "ping"}, "message", Answered({"type": "pong"})),
    ("session", {"type": "what"}, "message", ValidationError),
    ("session", {}, "message", ValidationError),
    ("session", "7", "message", InvalidBody),
]


@pytest.mark.parametrize(("dialect", "data", "name", "action"), SAID)
def test_what_a_client_says_is_an_action(
    dialect: str, data: Any, name: str, action: Action | type[ChatError]
) -> None:
    face, text = DIALECTS[dialect].face, data if isinstance(data, str) else orjson.dumps(data).decode()
    if isinstance(action, type):
        with pytest.raises(action):
            face.read(name, text)
    else:
        assert face.read(name, text) == action


def test_the_names_of_events_are_those_that_the_dialects_give_their_frames() -> None:
    faces = [each.socket for each in DIALECTS.values() if each.socket]
    assert set(EVENTS) == {"message", *(name for each in faces for name in each.names)}


def test_each_frame_of_a_request_may_be_named_by_its_event() -> None:
    face = DIALECTS["ai-sdk"].face
    for frame in (SendFrame, ResumeFrame, AbortFrame):
        name = get_args(frame.model_fields["type"].annotation)[0]
        assert name in face.names
        with pytest.raises(ValidationError, match="This field must be given"):  # it is read as what it is
            face.read(name, "{}")


SOCKETS = {"WebPubSubConnectionString": "Endpoint=http://127.0.0.1:9;AccessKey=x;Version=1.0;"}
TRIGGERS = """
import json, function_app
triggers = [each.get_trigger().get_dict_repr() for each in function_app.app.get_functions()]
found = [each for each in triggers if each["type"] == "webPubSubTrigger"]
print(json.dumps([(each["hub"], each["eventType"], each["eventName"]) for each in found]))
"""


@pytest.mark.parametrize(
    ("settings", "hub"),
    [
        (SOCKETS, "chat"),
        (SOCKETS | {"WebPubSubHub": "talk"}, "talk"),
        ({"WebPubSubConnectionString__serviceUri": "https://x.test"}, "chat"),
        (SOCKETS | {"CHAT_WEBPUBSUB_EVENTS": "http"}, ""),
        ({}, ""),
    ],
)
def test_there_is_a_trigger_for_every_name_of_a_frame_where_they_are_wanted(
    settings: dict[str, str], hub: str
) -> None:
    """In a process of its own, since the app is indexed when it is imported."""
    done = subprocess.run(
        [sys.executable, "-c", TRIGGERS],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = {tuple(each) for each in orjson.loads(done.stdout)}
    names = [*(("user", name) for name in EVENTS), *(("system", name) for name in SYSTEM_EVENTS)]
    assert found == ({(hub, *each) for each in names} if hub else set())


STATES = {"session": "s", "user": "ann", "dialect": "chat", "turn": ""}
ACCEPTED = Accepted("ann", ("s.s.chat",), "json.webpubsub.azure.v1", STATES)


def request(kind: str, name: str, **more: Any) -> str:
    context = {"eventType": kind, "eventName": name, "hub": "chat", "connectionId": "c1", "userId": "ann"}
    context |= {"headers": {"Ce-Id": ["7"]}}
    context |= {"states": STATES} if name != "connect" else {"states": None}
    return orjson.dumps({"connectionContext": context, **more}).decode()


def test_a_trigger_reads_what_the_extension_gives() -> None:
    connect = read_trigger(request("System", "connect", query={"ticket": ["t"]}, subprotocols=["p"]))
    assert (connect.kind, connect.query, connect.subprotocols, connect.states) == (
        "connect",
        {"ticket": ["t"]},
        ["p"],
        {},
    )
    assert read_trigger(request("System", "connected")).states == STATES
    said = read_trigger(request("User", "message", data='{"a":1}', dataType="Json"))
    assert (said.kind, said.name, said.data, said.user_id) == ("user", "message", '{"a":1}', "ann")


def test_a_user_event_may_be_named_like_a_system_event() -> None:
    assert read_trigger(request("User", "connect", data="x")).kind == "user"


def test_a_trigger_returns_what_the_extension_takes() -> None:
    assert show_return(ACCEPTED) == {
        "userId": "ann",
        "groups": ["s.s.chat"],
        "roles": [],
        "subprotocol": "json.webpubsub.azure.v1",
        "states": STATES,
    }
    assert show_return(Said()) is None
    assert show_return(Said("Echo: x")) == {"data": "Echo: x", "dataType": "text"}
    assert show_return(Said({"a": 1})) == {"data": '{"a":1}', "dataType": "json"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unauthenticated(), "unauthorized"),
        (Forbidden(), "userError"),
        (NotFound(), "userError"),
        (ChatError(), "serverError"),
    ],
)
def test_a_refusal_is_one_of_the_three_kinds(error: ChatError, code: str) -> None:
    assert show_refusal(error) == {"code": code, "errorMessage": error.message}


KEY = "secret"


def headers(kind: str, name: str, **more: str) -> dict[str, str]:
    given = {
        "ce-type": f"azure.webpubsub.{kind}.{name}",
        "ce-hub": "chat",
        "ce-eventname": name,
        "ce-connectionid": "c1",
        "ce-userid": "ann",
        "ce-id": "7",
        "content-type": "application/json",
    }
    return {key: value for key, value in (given | more).items() if value}


def read(given: dict[str, str], body: bytes) -> SocketEvent:
    return read_event(given, body, hub="chat")


def test_cloud_events_say_the_same_as_the_trigger() -> None:
    reply = show_reply(ACCEPTED)
    state = reply.headers["ce-connectionstate"]
    assert orjson.loads(reply.body) == {
        "userId": "ann",
        "groups": ["s.s.chat"],
        "roles": [],
        "subprotocol": "json.webpubsub.azure.v1",
    }
    asked = {"query": {"ticket": ["t", "u"]}, "subprotocols": ["p"], "headers": {"Origin": ["o"]}}
    connect = read(headers("sys", "connect"), orjson.dumps(asked))
    assert connect == read_trigger(request("System", "connect", **asked))
    assert (connect.asked("ticket"), connect.asked("other")) == ("t", "")
    assert connect.headers == {"origin": ["o"]}
    gateway = {"query": {"dialect": ["", "plan", "chat"], "session_id": [""]}}
    asked_through = read(headers("sys", "connect"), orjson.dumps(gateway))
    assert (asked_through.asked("dialect"), asked_through.asked("session_id")) == ("plan", "")
    later = read(headers("sys", "disconnected", **{"ce-connectionstate": state}), b'{"reason":"gone"}')
    assert later == read_trigger(request("System", "disconnected", reason="gone"))
    said = read(headers("user", "message", **{"ce-connectionstate": state}), b"hi")
    assert said == read_trigger(request("User", "message", data="hi"))


def test_replies_over_http() -> None:
    assert (show_reply(Said()).status, show_reply(Said()).body) == (204, b"")
    assert show_reply(Said("x")).headers["content-type"] == "text/plain"
    assert show_reply(Said({"a": 1})).body == b'{"a":1}'


@pytest.mark.parametrize("name", ["ce-type", "ce-hub", "ce-eventname", "ce-connectionid"])
def test_an_event_without_its_headers_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(headers("sys", "connect", **{name: ""}), b"")
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("given", "body", "error"),
    [
        (headers("sys", "connect"), b"no json", InvalidBody),
        (headers("sys", "connect"), b"[]", InvalidBody),
        (headers("sys", "explode"), b"{}", ValidationError),
        (headers("user", "message", **{"content-type": "text/xml"}), b"", ValidationError),
    ],
)
def test_an_event_that_cannot_be_read_is_refused(
    given: dict[str, str], body: bytes, error: type[ChatError]
) -> None:
    with pytest.raises(error):
        read(given, body)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"query": 7}, "query"),
    ({"query": [["ticket", "t"]]}, "query"),
    ({"query": {"ticket": 7}}, "query.ticket"),
    ({"query": {"ticket": "t"}}, "query.ticket"),
    ({"query": {"ticket": [None]}}, "query.ticket.0"),
    ({"query": {"x" * 999: [1]}}, "query." + "x" * 249),
    ({"subprotocols": "json.webpubsub.azure.v1"}, "subprotocols"),
    ({"subprotocols": {"a": "b"}}, "subprotocols"),
    ({"subprotocols": [1]}, "subprotocols.0"),
    ({"headers": [1]}, "headers"),
    ({"headers": {"origin": "o"}}, "headers.origin"),
    ({"headers": {"Origin": [[]]}}, "headers.Origin.0"),
]


@pytest.mark.parametrize(("said", "field"), WRONG, ids=lambda value: str(value)[:40])
def test_what_connect_has_of_a_wrong_type_is_named_either_way(said: dict[str, Any], field: str) -> None:
    for event in (
        lambda: read(headers("sys", "connect"), orjson.dumps(said)),
        lambda: read_trigger(request("System", "connect", **said)),
    ):
        with pytest.raises(ValidationError) as caught:
            event()
        assert caught.value.field == field


@pytest.mark.parametrize("hub", ["chat", "Chat", "CHAT"])
def test_the_case_of_a_hub_does_not_matter(hub: str) -> None:
    assert read_event(headers("sys", "connected", **{"ce-hub": hub}), b"", hub="cHat").name == "connected"


@pytest.mark.parametrize("hub", ["other", "chat2", "cha", "ch\u0430t"])
def test_an_event_of_another_hub_is_refused(hub: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(headers("sys", "connected", **{"ce-hub": hub}), b"")
    assert caught.value.field == "ce-hub"


@pytest.mark.parametrize("name", ["ce-type", "ce-eventname", "ce-connectionid", "ce-id"])
def test_a_header_that_is_too_long_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(headers("sys", "connect", **{name: "x" * 256}), b"")
    assert caught.value.field == name


@pytest.mark.parametrize("state", ["%%%", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode()])
def test_a_state_that_is_not_ours_is_none(state: str) -> None:
    assert read(headers("sys", "connected", **{"ce-connectionstate": state}), b"").states == {}


def test_one_good_signature_of_several_is_enough() -> None:
    good = "sha256=" + hmac.digest(KEY.encode(), b"c1", hashlib.sha256).hex()
    for signature in (good, good.upper(), f"sha256=00,{good}"):
        check_signature({"ce-connectionid": "c1", "ce-signature": signature}, ("other", KEY))
    for wrong in ("", "sha256=00", good[:-1], "é"):
        with pytest.raises(Unauthenticated):
            check_signature({"ce-connectionid": "c1", "ce-signature": wrong}, (KEY,))
    with pytest.raises(Unauthenticated):
        check_signature({"ce-connectionid": "c2", "ce-signature": good}, (KEY,))
