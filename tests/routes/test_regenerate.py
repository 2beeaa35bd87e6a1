"""An answer made anew."""

import pytest

from tests.routes.builders import answering, listed
from tests.support.clients import ChatClient, Frame, text_of


async def again(client: ChatClient, message_id: str, **body: str) -> list[Frame]:
    path = f"/api/v1/chat/messages/{message_id}/regenerate"
    async with client.open("POST", path, json=body or None) as stream:
        return await stream.read()


@pytest.mark.parametrize("asked_by", ["answer", "question"])
async def test_the_question_is_answered_once_more(client: ChatClient, asked_by: str) -> None:
    heard = await client.hear(answering("first"))
    question, answer = await client.messages(heard.session_id)
    frames = await again(client, (answer if asked_by == "answer" else question)["id"])
    assert text_of(frames) == "first"
    messages = await client.messages(heard.session_id)
    assert [(each["role"], each["parent_message_id"]) for each in messages] == [
        ("user", None),
        ("assistant", question["id"]),
        ("assistant", question["id"]),
    ]


async def test_the_model_is_shown_the_newest_answer_alone(client: ChatClient) -> None:
    heard = await client.hear('#cut=1 #times=1 #text="said at last"')
    await again(client, heard.turn_id)
    await client.hear("#echo", heard.session_id)
    echoed = (await client.messages(heard.session_id))[-1]["content"]
    assert echoed.count("said at last") == 2  # in the question, and in one answer


async def test_an_answer_that_broke_off_is_kept_beside_the_new_one(client: ChatClient) -> None:
    heard = await client.hear("#chunks=4 #cut=2 #times=1 an answer that breaks off")
    broken = (await client.messages(heard.session_id))[1]
    assert (broken["status"], broken["content"]) == ("failed", "word1 word2")
    assert text_of(await again(client, broken["id"])) == "word1 word2 word3 word4"
    page = await listed(client, heard.session_id)
    assert [each["status"] for each in page["messages"]] == ["complete", "failed", "complete"]


async def test_the_dialect_is_the_one_that_is_asked_for(client: ChatClient) -> None:
    heard = await client.hear(answering("x"))
    frames = await again(client, heard.turn_id, dialect="chat")
    assert frames[0].payload["type"] == "chat_start"


async def test_a_message_of_somebody_else_is_not_found(client: ChatClient) -> None:
    heard = await client.hear(answering("x"))
    stranger = client.as_user("stranger")
    reply = await stranger.call("POST", f"/api/v1/chat/messages/{heard.turn_id}/regenerate")
    assert (reply.status, reply.body["error"]) in [(404, "SessionNotFound"), (404, "MessageNotFound")]
