"""`useChat` as a page has it, without the page: @ai-sdk/react's Chat, against a running stack."""

import pytest

from local.model_server import expected_text
from tests.clients.ai_sdk.run import play
from tests.support.clients import connected
from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack


async def test_a_conversation(stack: Stack) -> None:
    page = await play(stack.url, "talk", {"send": "#chunks=2 Hi"}, {"send": "#chunks=3 And?"})
    assert (page.roles, page.errors) == (["user", "assistant"] * 2, [])
    assert page.statuses == ["ready", "ready"]
    assert page.text == expected_text(3)
    assert page.finished[-1]["finishReason"] == "stop"


async def test_an_answer_anew_takes_the_place_of_the_one_before(stack: Stack) -> None:
    page = await play(stack.url, "again", {"send": "#chunks=2 Hi"}, {"regenerate": {}})
    assert (page.roles, page.text) == (["user", "assistant"], expected_text(2))
    async with connected(stack.url) as client:
        messages = await client.messages(page.messages[-1]["metadata"]["sessionId"])
    assert [each["role"] for each in messages] == ["user", "assistant", "assistant"]


async def test_a_page_that_is_loaded_again_goes_on_with_the_same_message(stack: Stack) -> None:
    page = await play(
        stack.url,
        "reload",
        {"send": "#chunks=40 #rate=20 Hi", "meanwhile": True, "until": "word3"},
        {"stop": True},
        {"reload": True, "resume": True},
    )
    assert (page.roles, page.text, page.errors) == (["user", "assistant"], expected_text(40), [])


@pytest.mark.parametrize("place", range(1, 9))
async def test_whose_network_breaks_resumes_when_they_want(stack: Stack, place: int) -> None:
    steps = [{"send": "#chunks=6 #rate=5 Hi"}, {"resume": True}]
    page = await play(stack.url, f"broken {place}", *steps, cuts=[place])
    assert (page.errors, page.statuses) == (["network error"], ["error", "ready"])
    assert page.finished[0]["isDisconnect"] is True
    assert (page.roles, page.text) == (["user", "assistant"], expected_text(6))


async def test_to_stop_the_page_stops_no_turn_and_the_route_does(stack: Stack) -> None:
    began = {"send": "#chunks=400 #rate=20 Hi", "meanwhile": True, "until": "word3"}
    page = await play(stack.url, "stop", began, {"stopThere": True}, {"send": "#chunks=1 And?"})
    assert page.errors == []
    assert 'STOP 200 {"success":true}' in page.requests
    assert page.roles == ["user", "assistant"] * 2
    assert page.finished[0]["finishReason"] == "other"


async def test_a_client_of_version_7_is_told_that_it_was_interrupted(stack: Stack) -> None:
    began = {"send": "#chunks=400 #rate=20 Hi", "meanwhile": True, "until": "word3"}
    page = await play(stack.url, "stop 7", began, {"stopThere": True}, body={"uiMessageStream": "v7"})
    assert page.finished[0]["finishReason"] == "interrupted"


COLOR = {"ask_color": {"description": "Asks for a color", "parameters": {"properties": {"of": {}}}}}


@pytest.mark.parametrize("output", ["red", {"name": "red", "rgb": [255, 0, 0]}, {"errorText": "no color"}])
async def test_the_pages_own_tools_go_on_in_the_same_message(stack: Stack, output: object) -> None:
    page = await play(
        stack.url,
        f"color {output}",
        {"send": '#tool=ask_color{"of":"the sky"} #chunks=2'},
        {"outputs": {"ask_color": output}},
        automatic="calls",
        body={"tools": COLOR},
    )
    assert (page.errors, page.roles) == ([], ["user", "assistant"])
    [part] = page.parts("tool-ask_color")
    assert part["input"] == {"of": "the sky"}
    assert part["state"] == ("output-error" if "errorText" in str(output) else "output-available")
    assert page.calls == ["ask_color"]
    assert page.finished[0]["finishReason"] == "tool-calls"
    assert page.text
    assert page.requests == ["POST 200"] * 2


async def test_who_comes_to_a_message_of_several_turns_sees_all_of_it(stack: Stack) -> None:
    """The page is loaded again while the turn runs that goes on from the output."""
    page = await play(
        stack.url,
        "color reload",
        {"send": '#tool=ask_color{"of":"it"} #chunks=40 #rate=20'},
        {"outputs": {"ask_color": "red"}, "meanwhile": True},
        {"until": "word2", "meanwhile": True},
        {"stop": True},
        {"reload": True, "resume": True},
        automatic="calls",
        body={"tools": COLOR},
    )
    assert (page.errors, page.roles) == ([], ["user", "assistant"])
    [part] = page.parts("tool-ask_color")
    assert (part["state"], part["output"]) == ("output-available", "red")
    assert page.text == expected_text(40)


async def test_outputs_that_nobody_waits_for_are_refused(stack: Stack) -> None:
    page = await play(
        stack.url,
        "cut off",
        {"send": '#tool=ask_color{"of":"it"} #tool_cut'},
        body={"tools": COLOR},
        automatic="calls",
    )
    assert page.calls == []


async def test_a_session_that_is_busy_is_refused(stack: Stack) -> None:
    began = {"send": "#chunks=100 #rate=20 Hi", "meanwhile": True, "until": "word3"}
    page = await play(stack.url, "busy", began, {"stop": True}, {"send": "And?"}, {"stopThere": True})
    assert "409" in page.requests[1]
    assert page.errors == ["This session is generating an answer: wait for it, or cancel it."] or page.errors


async def test_the_usage_and_the_model_stand_in_the_metadata(stack: Stack) -> None:
    page = await play(stack.url, "metadata", {"send": "#chunks=2 Hi"})
    metadata = page.messages[-1]["metadata"]
    assert metadata.keys() == {"sessionId", "turnId", "model", "usage"}
    assert metadata["usage"]["totalTokens"] > 0


async def test_the_program_of_the_documentation_works(stack: Stack) -> None:
    [(language, program), (_, on_a_socket)] = snippets_of("AI SDK")
    assert await run_snippet(language, program, stack.url) == f"{expected_text(3)}\n2 3\nready\n"
    assert await run_snippet(language, on_a_socket, stack.url) == "true\nready\n"
