"""Messages and turns over HTTP, as docs/protocol.md section 7 shows them."""

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.routes.builders import answering, listed
from tests.support.clients import ChatClient, Heard, eventually

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MESSAGE_LIMIT = 256 * 1024
TEXTS = {
    "one byte": "x",
    "emoji": "👩‍👩‍👧‍👦 🇪🇺 ☃️ 😀",
    "every plane": "é 漢 \ue000 \ufffd \U0001f600 \U00020000 \U000e0001 \U000f0000 \U0010fffd",
    "line ends": "a\nb\r\nc\rd\u2028e\u2029f\x85g",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80 x",
    "nul": "a\x00b",
    "JSON and SSE": '{"a": "\\u0000"}\n\ndata: [DONE]\n\n: no\n',
    "white space around": " \t x \n",
    "a byte order mark": "\ufeffx",
    "32 thousand and one": "é" * 32_769,
    "largest": "😀" * (MESSAGE_LIMIT // 4),
}


async def conversation(client: ChatClient, turns: int) -> Heard:
    heard = await client.hear(answering("answer 0"))
    for number in range(1, turns):
        heard = await client.hear(answering(f"answer {number}"), heard.session_id)
    return heard


def numbers(page: Any) -> list[int]:
    return [int(each["id"].rpartition("-")[2]) for each in page["messages"]]


async def test_a_message_has_every_key(client: ChatClient) -> None:
    heard = await client.hear("#chunks=2 #model=gpt-x one")
    asked, answer = await client.messages(heard.session_id)
    common = {"metadata": {}, "parent_message_id": None, "reactions": [], "files": [], "error_message": None}
    assert asked | {"created_at": "", "updated_at": "", "thread_id": ""} == common | {
        "id": f"{heard.session_id}-00000001",
        "session_id": heard.session_id,
        "role": "user",
        "content": "#chunks=2 #model=gpt-x one",
        "created_at": "",
        "updated_at": "",
        "is_streaming": False,
        "llm_provider": None,
        "llm_model": None,
        "response_time_ms": None,
        "tokens_used": 0,
        "status": "complete",
        "author": "dev",
        "thread_id": "",
    }
    unknown = {"created_at": "", "updated_at": "", "thread_id": "", "response_time_ms": 0, "tokens_used": 0}
    assert answer | unknown == asked | unknown | {
        "id": heard.turn_id,
        "role": "assistant",
        "content": "word1 word2",
        "llm_provider": "AZURE",
        "llm_model": "gpt-x",
        "author": None,
        "parent_message_id": asked["id"],
    }
    assert type(answer["response_time_ms"]) is type(answer["tokens_used"]) is int


async def test_times_are_iso_with_z(client: ChatClient) -> None:
    heard = await client.hear("#chunks=2 #rate=20")
    asked, answer = await client.messages(heard.session_id)
    for each in (asked, answer):
        assert ISO.fullmatch(each["created_at"])
        assert ISO.fullmatch(each["updated_at"])
    assert answer["updated_at"] > answer["created_at"] >= asked["created_at"]


async def test_messages_are_listed_oldest_first(client: ChatClient) -> None:
    heard = await conversation(client, 3)
    page = await listed(client, heard.session_id)
    assert numbers(page) == [1, 2, 3, 4, 5, 6]
    assert [each["role"] for each in page["messages"]] == ["user", "assistant"] * 3
    assert page | {"messages": []} == {
        "messages": [],
        "page": 1,
        "page_size": 50,
        "has_more": False,
        "next_cursor": None,
        "session_id": heard.session_id,
        "total_count": 6,
        "total": 6,
    }


PAGES = [
    ("", [1, 2, 3, 4, 5, 6], False),
    ("?page_size=4", [1, 2, 3, 4], True),
    ("?page_size=4&page=2", [5, 6], False),
    ("?page_size=3&page=2", [4, 5, 6], False),
    ("?page_size=3&page=3", [], False),
    ("?order=desc", [6, 5, 4, 3, 2, 1], False),
    ("?order=desc&page_size=4", [6, 5, 4, 3], True),
    ("?order=desc&page_size=4&page=2", [2, 1], False),
    ("?order=desc&page_size=4&page=3", [], False),
    ("?before={id}-00000004", [1, 2, 3], False),
    ("?before={id}-00000006&page_size=2", [4, 5], True),
    ("?before={id}-00000006&page_size=2&order=desc", [5, 4], True),
    ("?before={id}-00000001", [], False),
]


async def test_pages_orders_and_bounds(client: ChatClient) -> None:
    heard = await conversation(client, 3)
    for query, expected, has_more in PAGES:
        page = await listed(client, heard.session_id, query.format(id=heard.session_id))
        assert (numbers(page), page["has_more"]) == (expected, has_more), query
        assert (page["next_cursor"] is not None) == has_more, query


async def test_before_takes_a_time_however_it_is_written(client: ChatClient) -> None:
    heard = await conversation(client, 3)
    shown = await client.messages(heard.session_id)
    when = datetime.fromisoformat(shown[4]["created_at"])  # shown cut to milliseconds: nothing is passed over
    written = [
        shown[4]["created_at"],
        when.isoformat(timespec="milliseconds").replace("+", "%2B"),
        when.isoformat(timespec="milliseconds"),  # the plus arrives as a blank
        when.replace(tzinfo=None).isoformat(timespec="milliseconds"),
        when.astimezone(timezone(timedelta(hours=-5))).isoformat(),
    ]
    for text in written:
        page = await listed(client, heard.session_id, f"?page_size=2&before={text}")
        assert (numbers(page), page["has_more"], page["total_count"]) == ([3, 4], True, 6), text
    assert numbers(await listed(client, heard.session_id, "?before=2020-02-29")) == []
    assert numbers(await listed(client, heard.session_id, "?before=2999-12-31&order=desc&page_size=1")) == [6]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_of_long_messages_ends_early(client: ChatClient, order: str) -> None:
    session_id = await client.new_session()
    for number in range(30):
        body = {"content": f"{number} " + "x" * 250_000}
        await client.call("POST", f"/api/v1/chat/sessions/{session_id}/messages", json=body)
    seen: list[int] = []
    cursor = ""
    for expected in (17, 13):
        query = f"?page_size=200&order={order}{cursor}"
        page = (await client.call("GET", f"/api/v1/chat/sessions/{session_id}/messages{query}")).body
        assert len(page["messages"]) == expected
        seen += [int(each["content"].partition(" ")[0]) for each in page["messages"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == (list(range(30)) if order == "asc" else list(range(29, -1, -1)))
    assert not page["has_more"]


@pytest.mark.parametrize(("order", "expected"), [("asc", [1, 2, 3, 4, 5, 6]), ("desc", [6, 5, 4, 3, 2, 1])])
async def test_cursors_lead_through_the_list(client: ChatClient, order: str, expected: list[int]) -> None:
    heard = await conversation(client, 3)
    found, cursor, has_more = [], "", True
    while has_more:
        page = await listed(client, heard.session_id, f"?order={order}&page_size=2{cursor}")
        found += numbers(page)
        cursor, has_more = f"&cursor={page['next_cursor']}", page["has_more"]
    assert found == expected


BAD_QUERIES = [
    ("order=up", "order"),
    ("page=0", "page"),
    ("page_size=0", "page_size"),
    ("before=nothing", "before"),
    ("before=2026-13-01", "before"),
    ("before=0001-01-01T00:00:00%2B14:00", "before"),
    ("before=01M7XNHA5XT5A9JSFT52QBJFGY-00000001", "before"),
    ("cursor=nothing", "cursor"),
]


@pytest.mark.parametrize(("query", "field"), BAD_QUERIES)
async def test_a_bad_query_is_named(client: ChatClient, query: str, field: str) -> None:
    path = f"/api/v1/chat/sessions/{await client.new_session()}/messages?{query}"
    reply = await client.call("GET", path)
    assert (reply.status, reply.body["details"]["field"]) == (422, field)


@pytest.mark.parametrize("name", TEXTS)
async def test_every_text_of_a_user_is_kept_as_it_is(client: ChatClient, name: str) -> None:
    text = TEXTS[name]
    body = {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": text}]}
    body["messages"].append({"role": "user", "content": "#chunks=1"})
    async with client.open("POST", "/api/chat/stream", json=body) as stream:
        await stream.read()
    asked, answered, *_ = await client.messages(stream.session_id)
    assert asked["content"] == answered["content"] == text


@pytest.mark.parametrize("name", TEXTS)
async def test_every_text_of_the_model_streams_and_is_kept_as_it_is(client: ChatClient, name: str) -> None:
    text = TEXTS[name][: MESSAGE_LIMIT // 8]
    heard = await client.hear(answering(text))
    assert heard.text == text
    assert (await client.messages(heard.session_id))[-1]["content"] == text


async def test_the_largest_message_is_taken_and_answered(client: ChatClient) -> None:
    text = "#chunks=2 " + "é" * ((MESSAGE_LIMIT - 10) // 2)
    assert len(text.encode()) == MESSAGE_LIMIT
    heard = await client.hear(text)
    asked, answer = await client.messages(heard.session_id)
    assert (asked["content"], answer["content"]) == (text, "word1 word2")


async def test_a_body_of_exactly_the_limit_is_taken(client: ChatClient) -> None:
    body = b'{"messages":[{"role":"user","content":"#chunks=1"}]}'.ljust(1024 * 1024)
    async with client.open("POST", "/api/chat/stream", data=body) as stream:
        assert stream.status == 200
        await stream.read()


async def test_a_turn_has_every_key(client: ChatClient) -> None:
    heard = await client.hear("#chunks=2 #rate=20 one")
    turn = await client.turn(heard.turn_id)
    assert turn | {"started_at": "", "ended_at": "", "usage": {}, "attempts": []} == {
        "id": heard.turn_id,
        "session_id": heard.session_id,
        "status": "finished",
        "error": None,
        "pipeline": None,
        "last_event": 99_999_999,
        "started_at": "",
        "ended_at": "",
        "usage": {},
        "attempts": [],
    }
    assert turn["ended_at"] > turn["started_at"]
    assert ISO.fullmatch(turn["started_at"])
    assert turn["usage"].keys() == {"prompt_tokens", "completion_tokens", "total_tokens", "estimated"}
    assert (turn["usage"]["completion_tokens"], turn["usage"]["estimated"]) == (2, False)
    assert [each["provider"] for each in turn["attempts"]] == ["AZURE"]


async def test_a_running_turn_says_so(client: ChatClient) -> None:
    async with client.say("#endless #rate=20") as stream:
        await stream.take(2)
        turn = await client.turn(stream.turn_id)
        await client.cancel(stream.turn_id)
    assert (turn["status"], turn["ended_at"], turn["usage"]) == ("running", None, None)
    assert 0 < turn["last_event"] < 99_999_999


async def test_a_failed_turn_says_why(client: ChatClient) -> None:
    heard = await client.hear("#chunks=3 #rate=50 #cut=2")
    turn = await client.turn(heard.turn_id)
    assert turn["status"] == "failed"
    assert turn["error"].keys() == {"code", "message", "retryable"}
    assert (turn["error"]["code"], turn["error"]["retryable"]) == ("MODEL_BAD_REPLY", True)
    assert (await client.messages(heard.session_id))[-1]["error_message"] == turn["error"]["message"]


async def test_a_stored_message_can_be_answered(client: ChatClient) -> None:
    first = await client.hear("#chunks=1 one")
    path = f"/api/v1/chat/sessions/{first.session_id}/turns"
    body = {"message_id": f"{first.session_id}-00000001"}
    async with client.open("POST", path, json=body) as stream:
        again = Heard(stream.session_id, stream.turn_id, await stream.read())
    assert again.text == first.text
    assert [each["role"] for each in await client.messages(first.session_id)] == ["user"] + ["assistant"] * 2


@pytest.mark.parametrize("number", ["-1", "1.", "x", "1.2.3", "999999999", "１"])
async def test_a_bad_place_in_a_turn_is_named(client: ChatClient, number: str) -> None:
    heard = await client.hear("#chunks=1")
    reply = await client.call("GET", f"/api/v1/chat/turns/{heard.turn_id}/events?after={number}")
    assert (reply.status, reply.body["details"]["field"]) == (422, "after")


async def test_purged_events_are_410_and_the_messages_stay(client: ChatClient, stack: Any) -> None:
    heard = await client.hear("#chunks=1")
    host = stack.add_host({"CHAT_EVENTS_TTL_HOURS": "0"})
    sweeper = client.at(host.wait_ready())
    async with sweeper.open("POST", "/admin/functions/sweep", json={}) as stream:
        assert stream.status == 202
    path = f"/api/v1/chat/turns/{heard.turn_id}/events"

    async def purged() -> bool:
        async with client.open("GET", path) as stream:
            return stream.status == 410

    await eventually(purged, seconds=10, what="purge")
    host.stop()
    assert (await client.call("GET", path)).body["error_code"] == "EVENTS_GONE"
    assert (await client.messages(heard.session_id))[-1]["content"] == heard.text
