"""Tools that wait for somebody's word, as a page answers them."""

from collections.abc import Generator

import pytest

from tests.clients.ai_sdk.run import play, send, user
from tests.support.clients import connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

ASK = {"send": '#tool=current_time{"timezone":"UTC"} #chunks=2'}


@pytest.fixture(scope="module")
def careful() -> Generator[Stack]:
    """An app whose tools all wait for an approval."""
    with Stack.start(env={**ONE_ATTEMPT, "CHAT_APPROVE_TOOLS": "*"}) as running:
        yield running


@pytest.mark.parametrize("approved", [True, False])
async def test_the_answer_goes_on_in_the_same_message(careful: Stack, approved: bool) -> None:
    page = await play(
        careful.url,
        f"approved {approved}",
        ASK,
        {"approvals": {"current_time": approved}},
        automatic="approvals",
    )
    assert (page.errors, page.roles) == ([], ["user", "assistant"])
    [part] = page.parts("dynamic-tool")
    assert part["state"] == ("output-available" if approved else "output-denied")
    assert page.text
    assert page.requests == ["POST 200"] * 2
    assert [each["finishReason"] for each in page.finished] == ["tool-calls", "stop"]


async def test_one_of_two_answers_is_approved_which_have_calls_of_one_id(careful: Stack) -> None:
    """The second was made anew: the page shows it alone, and what it says is meant for that one."""
    approval = {"approvals": {"current_time": True}}
    page = await play(careful.url, "anew", ASK, {"regenerate": {}}, approval, automatic="approvals")
    assert (page.errors, page.roles) == ([], ["user", "assistant"])
    [part] = page.parts("dynamic-tool")
    assert part["state"] == "output-available"
    async with connected(careful.url) as client:
        answers = (await client.messages(page.messages[-1]["metadata"]["sessionId"]))[1:]
    assert [each["metadata"].get("continues") for each in answers] == [None, None, answers[1]["id"]]


async def test_a_page_that_is_loaded_again_still_shows_what_waits(careful: Stack) -> None:
    page = await play(careful.url, "waits", ASK)
    [part] = page.parts("dynamic-tool")
    assert (part["state"], part["input"]) == ("approval-requested", {"timezone": "UTC"})
    found = await send(careful.url, [user("x"), page.messages[-1]], chatId="waits")
    assert found.error is not None  # nobody said anything to it
    assert "The last message must be the user's" in found.error


@pytest.mark.parametrize("ai", ["ai", "ai6"])
async def test_who_comes_while_it_goes_on_sees_the_whole_message(careful: Stack, ai: str) -> None:
    """Also who comes by another protocol's routes, which know nothing of its message."""
    chat = f"two pages {ai}"
    page = await play(careful.url, chat, {"send": '#tool=current_time{"timezone":"UTC"} #chunks=60 #rate=20'})
    message = page.messages[-1]
    message["parts"][1] |= {"state": "approval-responded", "approval": {"id": "x", "approved": True}}
    async with connected(careful.url) as client:
        body = {"id": chat, "messages": [page.messages[0], message]}
        async with client.open("POST", "/api/chat", json=body) as stream:
            assert stream.status == 200
            found = await send(careful.url, [], ai=ai, chatId=chat, reconnect=True)
            turn_id = stream.turn_id
        assert (found.error, found.message["id"]) == (None, message["id"])
        [part] = [each for each in found.message["parts"] if each["type"] == "dynamic-tool"]
        assert part["state"] == "output-available"
        async with client.follow(turn_id, dialect="ai-sdk") as stream:
            said = "".join(each.data for each in await stream.read())
        assert "tool-output-available" in said


async def test_what_nobody_waits_for_is_refused(careful: Stack) -> None:
    page = await play(careful.url, "twice", ASK, {"approvals": {"current_time": True}}, automatic="approvals")
    message = page.messages[-1]
    message["parts"] = [message["parts"][1] | {"state": "approval-responded", "approval": {"approved": True}}]
    found = await send(careful.url, [user("x"), message], chatId="twice")
    assert found.status == 422
