"""assistant-ui's runtime for the AI SDK, without a page around it, against a running stack."""

import uuid
from collections.abc import Generator
from typing import Any

import pytest

from local.model_server import expected_text
from tests.clients.ai_sdk.run import run
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

CLOCK = '#tool=current_time{"timezone":"UTC"} #chunks=2'
PICK = {"pick": {"description": "Lets the user pick.", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def asking() -> Generator[Stack]:
    with Stack.start(env={**ONE_ATTEMPT, "CHAT_APPROVE_TOOLS": "current_time"}) as running:
        yield running


async def play(stack: Stack, *steps: Any, **asked: Any) -> Any:
    return await run(
        "assistant_ui.mjs", api=f"{stack.url}/api/chat", id=uuid.uuid4().hex, steps=steps, **asked
    )


def said(message: Any) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


async def test_a_conversation_and_another_answer_to_its_last_question(asking: Stack) -> None:
    page = await play(asking, {"say": "#chunks=3 Hello"}, {"say": "#chunks=2 And?"}, {"reload": True})
    assert (page["errors"], page["requests"]) == ([], ["POST 200"] * 3)
    assert [said(each) for each in page["messages"][1::2]] == [expected_text(3), expected_text(2)]
    assert [each["branchCount"] for each in page["messages"]] == [1, 1, 1, 2]


@pytest.mark.parametrize("approved", [True, False])
@pytest.mark.parametrize("anew", [False, True])
async def test_an_approval_goes_on_in_the_same_message(asking: Stack, approved: bool, anew: bool) -> None:
    again = [{"reload": True}] if anew else []
    page = await play(
        asking, {"say": CLOCK}, *again, {"approvals": {"current_time": approved}}, approving=True
    )
    assert page["errors"] == []
    call, text = page["messages"][-1]["parts"]
    assert (call["toolName"], call["approval"]["approved"]) == ("current_time", approved)
    assert ("UTC" in str(call["result"])) is approved
    assert text["type"] == "text"


async def test_the_pages_own_tools(asking: Stack) -> None:
    page = await play(asking, {"say": '#tool=pick{"of":"red"}'}, {"results": {"pick": "red"}}, tools=PICK)
    assert (page["errors"], page["requests"]) == ([], ["POST 200"] * 2)
    assert page["messages"][-1]["parts"][0]["result"] == "red"
    assert "red" in said(page["messages"][-1])


async def test_a_page_that_is_opened_again_goes_on_with_the_same_message(asking: Stack) -> None:
    began = {"say": "#chunks=40 #rate=20 Hi", "until": "word3"}
    page = await play(asking, began, {"cancel": True}, {"again": True})
    assert (page["errors"], page["requests"]) == ([], ["POST 200", "GET 200"])
    assert [said(each) for each in page["messages"][1:]] == [expected_text(40)]


async def test_what_is_refused_is_shown(asking: Stack) -> None:
    page = await play(asking, {"say": "#status=500 Hi"})
    assert page["errors"] == ["The model service failed with status 500."]
    assert page["messages"][-1]["status"]["reason"] == "error"
