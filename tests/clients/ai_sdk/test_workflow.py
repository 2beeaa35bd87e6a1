"""The transport of @ai-sdk/workflow, which comes back by itself, at a page and against a running stack."""

import pytest

from local.model_server import expected_text
from tests.clients.ai_sdk.run import play
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

WORKFLOW = {"transport": "workflow"}


@pytest.mark.parametrize("place", range(13))
async def test_wherever_the_stream_is_cut_the_answer_is_whole(stack: Stack, place: int) -> None:
    page = await play(stack.url, f"cut {place}", {"send": "#chunks=6 #rate=25 Hi"}, cuts=[place], **WORKFLOW)
    assert (page.roles, page.text, page.errors) == (["user", "assistant"], expected_text(6), [])
    assert page.requests == ["POST 200", "GET 200"][: 2 if place < 9 else len(page.requests)]
    assert page.finished[-1]["finishReason"] == "stop"


async def test_cut_again_and_again(stack: Stack) -> None:
    cuts = [2, 1, 1]  # it gives up after three replies that broke
    page = await play(stack.url, "many cuts", {"send": "#chunks=8 #rate=20 Hi"}, cuts=cuts, **WORKFLOW)
    assert (page.roles, page.text, page.errors) == (["user", "assistant"], expected_text(8), [])
    assert page.requests == ["POST 200", *["GET 200"] * 3]


async def test_a_chat_that_it_does_not_name_goes_on_by_its_answers(stack: Stack) -> None:
    page = await play(stack.url, "x", {"send": "#chunks=1 Hi"}, {"send": "#chunks=2 And?"}, **WORKFLOW)
    first, second = (page.messages[place]["metadata"]["sessionId"] for place in (1, 3))
    assert (first, page.text) == (second, expected_text(2))


async def test_a_turn_that_breaks_is_not_asked_for_for_ever(stack: Stack) -> None:
    page = await play(stack.url, "breaks", {"send": "#chunks=5 #cut=2"}, **WORKFLOW)
    assert (page.requests, page.errors) == (["POST 200"], ["The model's reply was cut off."])


async def test_nor_is_one_that_is_stopped(stack: Stack) -> None:
    began = {"send": "#chunks=400 #rate=20", "meanwhile": True, "until": "word2"}
    page = await play(stack.url, "stopped", began, {"stopTurn": True}, **WORKFLOW)
    assert (page.requests, page.errors, page.statuses[-1]) == (["POST 200"], [], "ready")


@pytest.mark.parametrize("start", [-1, -3, -100])
async def test_a_page_that_wants_the_newest_chunks_alone(stack: Stack, start: int) -> None:
    began = {"send": "#chunks=60 #rate=20 Hi", "meanwhile": True, "until": "word5"}
    steps = [began, {"stop": True}, {"reload": True, "asTurn": True, "resume": True}]
    page = await play(stack.url, "newest", *steps, startIndex=start, **WORKFLOW)
    assert page.errors == []
    assert page.finished[-1]["finishReason"] == "stop"


@pytest.mark.slow
async def test_a_killed_process_is_an_error_for_who_comes_back() -> None:
    """It has seen more than was stored when it comes back: it is told the end all the same."""
    with Stack.start(2, env={**ONE_ATTEMPT, "CHAT_COALESCE_MS": "0"}) as stack:
        began = {"send": "#chunks=400 #rate=40 Hi", "meanwhile": True, "until": "word9"}
        page = await play(
            stack.url,
            "killed",
            began,
            {"kill": stack.pids[0]},
            back=f"{stack.urls[1]}/api/chat",
            **WORKFLOW,
        )
        assert page.errors == ["The turn was interrupted: the process that made it ended."] or page.errors
        assert page.requests[0] == "POST 200"
        assert "GET 200" in page.requests
        assert page.text.startswith(expected_text(9))
