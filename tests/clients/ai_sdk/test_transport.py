"""The transport that `useChat` takes by itself, of both versions, against a running stack."""

import asyncio
from typing import Any

import pytest

from local.model_server import expected_text
from tests.clients.ai_sdk.run import VERSIONS, send, user
from tests.support.clients import connected, eventually, text_of
from tests.support.stack import Stack


@pytest.mark.parametrize("ai", VERSIONS)
@pytest.mark.parametrize("one", [False, True])
async def test_an_answer_is_the_one_that_every_other_client_gets(stack: Stack, ai: str, one: bool) -> None:
    found = await send(stack.url, "#chunks=5 Hello", ai=ai, chatId=f"five {ai} {one}", one=one)
    assert (found.text, found.error) == (expected_text(5), None)
    assert found.message["id"] == found.turn_id
    assert found.message["role"] == "assistant"
    assert found.kinds[0] == "start"
    assert found.chunks[-1]["finishReason"] == "stop"
    async with connected(stack.url) as client, client.follow(found.turn_id) as stream:
        assert text_of(await stream.read()) == found.text


@pytest.mark.parametrize("ai", VERSIONS)
async def test_tools_of_ours_are_dynamic_parts(stack: Stack, ai: str) -> None:
    found = await send(stack.url, '#tool=current_time{"timezone":"UTC"}', ai=ai, chatId=f"tools {ai}")
    [part] = [each for each in found.message["parts"] if each["type"] == "dynamic-tool"]
    assert (part["toolName"], part["state"]) == ("current_time", "output-available")
    assert part["input"] == {"timezone": "UTC"}
    assert found.text


@pytest.mark.parametrize("ai", VERSIONS)
async def test_reasoning(stack: Stack, ai: str) -> None:
    found = await send(stack.url, "#reasoning=3 #chunks=2", ai=ai, chatId=f"thinks {ai}")
    kinds = [each["type"] for each in found.message["parts"]]
    assert kinds == ["step-start", "reasoning", "text"]


@pytest.mark.parametrize("ai", VERSIONS)
async def test_stages(stack: Stack, ai: str) -> None:
    found = await send(
        stack.url, "plan a 3 day trip to Tokyo", ai=ai, chatId=f"trip {ai}", body={"pipeline": "trip"}
    )
    stages = [each["data"] for each in found.message["parts"] if each["type"] == "data-stage"]
    assert [each["stage"] for each in stages] == ["intents", "pois", "requirements", "plan"]
    assert {each["status"] for each in stages} == {"finished"}
    grown = [each["data"]["items"] for each in found.chunks if "items" in each.get("data", {})]
    assert stages[1]["result"] in grown
    assert any(each["type"] == "data-progress" for each in found.chunks)
    assert found.error is None


@pytest.mark.parametrize("ai", VERSIONS)
async def test_a_model_that_is_cut_in_the_middle(stack: Stack, ai: str) -> None:
    found = await send(stack.url, "#chunks=5 #cut=2", ai=ai, chatId=f"cut {ai}")
    assert found.error == "The model's reply was cut off."
    assert found.text == expected_text(2)
    assert found.kinds[-4:] == ["text-end", "finish-step", "error", "finish"]


@pytest.mark.parametrize("ai", VERSIONS)
async def test_a_turn_that_is_stopped(stack: Stack, ai: str) -> None:
    chat = f"stopped {ai}"
    await send(stack.url, "#chunks=1 Hi", ai=ai, chatId=chat)
    asking = asyncio.create_task(send(stack.url, "#chunks=400 #rate=20", ai=ai, chatId=chat))
    async with connected(stack.url) as client:
        await eventually(lambda: runs(client, chat), seconds=20, what="stream")
        assert await stop(client, chat, "0" * 26 + "-00000002")  # an older one: nothing happens
        assert await runs(client, chat)
        assert await stop(client, chat)
        assert await stop(client, chat)  # once more: nothing runs
    found = await asking
    assert found.error is None
    assert found.kinds[-2:] == ["abort", "finish"]
    assert expected_text(400).startswith(found.text)


async def stop(client: Any, chat: str, stream_id: str = "") -> bool:
    body = {"activeStreamId": stream_id} if stream_id else {}
    return (await client.call("POST", f"/api/chat/{chat}/stop", json=body)).body["success"]


async def runs(client: Any, chat: str) -> bool:
    async with client.open("GET", f"/api/chat/{chat}/stream") as stream:
        return stream.status == 200


@pytest.mark.parametrize("ai", VERSIONS)
async def test_the_chat_goes_on_and_the_stored_history_counts(stack: Stack, ai: str) -> None:
    chat = f"goes on {ai}"
    first = await send(stack.url, "#chunks=1 One", ai=ai, chatId=chat)
    messages = [user("something else"), {**first.message, "parts": []}, user("#chunks=2 Two")]
    second = await send(stack.url, messages, ai=ai, chatId=chat)
    session_id = second.message["metadata"]["sessionId"]
    assert session_id == first.message["metadata"]["sessionId"]
    async with connected(stack.url) as client:
        said = [each["content"] for each in await client.messages(session_id)]
    assert said == ["#chunks=1 One", expected_text(1), "#chunks=2 Two", expected_text(2)]


async def test_a_new_chat_takes_the_messages_before_as_its_history(stack: Stack) -> None:
    before = [user("Hi"), {"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "Hello"}]}]
    found = await send(stack.url, [*before, user("#chunks=1 And?")], chatId="with a history")
    async with connected(stack.url) as client:
        messages = await client.messages(found.message["metadata"]["sessionId"])
    assert [each["content"] for each in messages] == ["Hi", "Hello", "#chunks=1 And?", expected_text(1)]


@pytest.mark.parametrize("ai", VERSIONS)
async def test_an_answer_anew_takes_the_place_of_the_last(stack: Stack, ai: str) -> None:
    chat = f"anew {ai}"
    first = await send(stack.url, "#chunks=1 Hi", ai=ai, chatId=chat)
    asked = {"ai": ai, "chatId": chat, "trigger": "regenerate-message"}
    second = await send(stack.url, "#chunks=1 Hi", messageId=first.message["id"], **asked)
    third = await send(stack.url, "#chunks=1 Hi", messageId="made up", **asked)
    assert len({first.message["id"], second.message["id"], third.message["id"]}) == 3
    async with connected(stack.url) as client:
        messages = await client.messages(first.message["metadata"]["sessionId"])
    assert [each["role"] for each in messages] == ["user", "assistant", "assistant", "assistant"]
    assert {each["parent_message_id"] for each in messages[1:]} == {messages[0]["id"]}


@pytest.mark.parametrize("ai", VERSIONS)
async def test_who_drops_at_any_chunk_resumes_the_same_message(stack: Stack, ai: str) -> None:
    text = "#chunks=6 #rate=5"
    for place in range(1, 10):
        found = await send(stack.url, text, ai=ai, chatId=f"drop {ai} {place}", drop=place)
        if found.resumed:
            assert (found.text, found.error) == (expected_text(6), None)
            assert found.kinds[0] == "start"
            assert found.kinds[-1] == "finish"
        else:
            async with connected(stack.url) as client:  # it had ended
                assert (await client.turn(found.turn_id))["status"] == "finished"


async def test_where_nothing_runs_there_is_nothing_to_resume(stack: Stack) -> None:
    await send(stack.url, "#chunks=1", chatId="idle")
    for chat in ("idle", "never heard of"):
        found = await send(stack.url, [], chatId=chat, reconnect=True)
        assert (found.resumed, found.error) == (0, None)


FILE = {"type": "file", "mediaType": "text/csv", "filename": "a.csv", "url": "data:text/csv;base64,YSxi"}


async def test_files_of_text_are_read_where_they_are(stack: Stack) -> None:
    message = {**user("#chunks=1 See"), "parts": [*user("#chunks=1 See")["parts"], FILE]}
    found = await send(stack.url, [message], chatId="files")
    async with connected(stack.url) as client:
        [asked, _] = await client.messages(found.message["metadata"]["sessionId"])
    assert asked["content"] == "#chunks=1 See\n\na.csv:\na,b\n\n"


IMAGE = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,YQ=="}
REFUSED: dict[str, tuple[Any, dict[str, Any], int, str]] = {
    "an image": (
        [{**user(""), "parts": [IMAGE]}],
        {},
        422,
        "messages.0.parts.0: Only files of text can be read: this one is image/png",
    ),
    "empty": (" ", {}, 422, "messages.0: Message content cannot be empty"),
    "no messages": ([], {}, 422, "messages: Must not be empty"),
    "away": ("#status=500", {}, 503, "The model service failed with status 500."),
    "at its limit": ("#status=429", {}, 429, "The model service is at its limit."),
    "one of our tools": (
        "Hi",
        {"body": {"tools": {"current_time": {}}}},
        422,
        "tools.0: current_time is the name of one of our tools",
    ),
}


@pytest.mark.parametrize("ai", VERSIONS)
@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_is_a_sentence(stack: Stack, ai: str, name: str) -> None:
    messages, asked, status, message = REFUSED[name]
    found = await send(stack.url, messages, ai=ai, chatId=f"refused {ai} {name}", **asked)
    assert (found.error, found.status) == (message, status if ai == "ai" else None)
    assert found.chunks == []
