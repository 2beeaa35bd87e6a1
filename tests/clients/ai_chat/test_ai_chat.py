"""Microsoft's own client of the AI Chat Protocol, against a running stack."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.model_server import expected_text
from tests.support.clients import connected, text_of
from tests.support.node import run_script
from tests.support.settings import ONE_ATTEMPT
from tests.support.snippets import run_snippet, snippets_of
from tests.support.stack import Stack

SCRIPT = Path(__file__).parent / "ask.mjs"
KINDS = ("whole", "stream")


@dataclass(frozen=True)
class Found:
    """What the client made of an answer."""

    text: str
    lines: list[Any]
    error: dict[str, str] | None

    def context(self, name: str) -> list[Any]:
        return [each["context"][name] for each in self.lines if name in each.get("context", {})]

    @property
    def session_id(self) -> str:
        return self.lines[0]["sessionState"]


def user(*said: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": each} for each in said]


async def ask(
    stack: Stack,
    kind: str,
    messages: str | Sequence[Mapping[str, Any]],
    options: Mapping[str, Any] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    stop_after: int = 0,
    url: str = "",
) -> Found:
    given = user(messages) if isinstance(messages, str) else messages
    asked = {"messages": given, "options": options or {}, "headers": headers or {}, "stopAfter": stop_after}
    printed = await run_script(SCRIPT, f"{url or stack.url}/api/ai-chat", kind, json.dumps(asked))
    return Found(**json.loads(printed.splitlines()[-1]))


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_is_the_one_that_every_other_client_gets(stack: Stack, kind: str) -> None:
    found = await ask(stack, kind, "#chunks=5 Hello")
    assert (found.text, found.error) == (expected_text(5), None)
    assert found.context("status") == ["finished"]
    [turn_id] = found.context("turnId")
    async with connected(stack.url) as client, client.follow(turn_id) as stream:
        assert text_of(await stream.read()) == found.text


@pytest.mark.parametrize("kind", KINDS)
async def test_the_session_state_goes_on_with_the_conversation(stack: Stack, kind: str) -> None:
    first = await ask(stack, kind, "#chunks=1 One")
    state = {"sessionState": first.session_id, "context": {"mine": [1]}}
    second = await ask(stack, kind, user("#chunks=1 One", "#chunks=2 Two"), state)
    assert (second.text, second.session_id) == (expected_text(2), first.session_id)
    async with connected(stack.url) as client:
        assert [each["role"] for each in await client.messages(first.session_id)] == ["user", "assistant"] * 2


@pytest.mark.parametrize("kind", KINDS)
async def test_without_a_state_the_messages_before_begin_a_session(stack: Stack, kind: str) -> None:
    before = [*user("Hi"), {"role": "assistant", "content": "Hello", "context": {"a": 1}}]
    found = await ask(stack, kind, [*before, *user("#chunks=1 And?")])
    async with connected(stack.url) as client:
        said = [each["content"] for each in await client.messages(found.session_id)]
    assert said == ["Hi", "Hello", "#chunks=1 And?", expected_text(1)]


async def test_tools_of_ours_stand_in_the_context(stack: Stack) -> None:
    found = await ask(stack, "stream", '#tool=current_time{"timezone":"UTC"}')
    [called], [came] = found.context("toolCall"), found.context("toolOutput")
    assert (called["name"], called["arguments"]) == ("current_time", {"timezone": "UTC"})
    assert (came["id"], came["name"]) == (called["id"], "current_time")
    whole = await ask(stack, "whole", '#tool=current_time{"timezone":"UTC"}')
    [[called]], [[came]] = whole.context("toolCalls"), whole.context("toolOutputs")
    assert called["id"] == came["id"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_model_that_is_cut_in_the_middle_is_an_error_that_the_client_throws(
    stack: Stack, kind: str
) -> None:
    found = await ask(stack, kind, "#chunks=5 #cut=2")
    assert found.error == {"code": "MODEL_BAD_REPLY", "message": "The model's reply was cut off."}
    assert found.text == (expected_text(2) if kind == "stream" else "")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_turn_that_is_stopped_ends_with_what_was_said(stack: Stack, kind: str) -> None:
    first = await ask(stack, kind, "#chunks=1 Hi")
    state = {"sessionState": first.session_id}
    asking = asyncio.create_task(ask(stack, kind, "#chunks=400 #rate=20", state))
    async with connected(stack.url) as client:
        turn_id = await client.running_turn(first.session_id, seconds=20)
        await client.call("POST", f"/api/v1/chat/turns/{turn_id}/cancel")
    found = await asking
    assert found.error is None
    assert found.context("status") == ["cancelled"]
    assert expected_text(400).startswith(found.text)


async def test_who_leaves_stops_nothing(stack: Stack) -> None:
    for lines in (1, 2, 4):
        found = await ask(stack, "stream", "#chunks=5 #rate=50", stop_after=lines)
        async with connected(stack.url) as client, client.follow(found.context("turnId")[0]) as stream:
            assert text_of(await stream.read()) == expected_text(5)


REFUSED: Mapping[str, tuple[Any, dict[str, Any], str, str]] = {
    "not there": ("Hi", {"sessionState": "0" * 26}, "SESSION_NOT_FOUND", "Session not found."),
    "no id": ("Hi", {"sessionState": {"a": 1}}, "INVALID_INPUT", "sessionState: Must be a text"),
    "empty": (" ", {}, "INVALID_INPUT", "messages.0.content: Message content cannot be empty"),
    "none": ([], {}, "INVALID_INPUT", "messages: Must not be empty"),
    "not the user's": (
        [{"role": "assistant", "content": "x"}],
        {},
        "INVALID_INPUT",
        "messages: The last message must be the user's",
    ),
    "away": ("#status=500", {}, "MODEL_UNAVAILABLE", "The model service failed with status 500."),
    "at its limit": ("#status=429", {}, "MODEL_RATE_LIMITED", "The model service is at its limit."),
    "files": (
        [{**user("See")[0], "files": [{"contentType": "image/png", "data": "x" * 1000}]}],
        {},
        "FILES_NOT_TAKEN",
        "Files are not taken: send the messages alone, as JSON.",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_refused_is_thrown_with_its_code(stack: Stack, kind: str, name: str) -> None:
    messages, options, code, message = REFUSED[name]
    found = await ask(stack, kind, messages, options)
    assert (found.lines, found.error) == ([], {"code": code, "message": message})


async def test_a_session_that_is_busy_is_refused(stack: Stack) -> None:
    first = await ask(stack, "whole", "#chunks=1 Hi")
    state = {"sessionState": first.session_id}
    asking = asyncio.create_task(ask(stack, "stream", "#chunks=400 #rate=20", state))
    async with connected(stack.url) as client:
        turn_id = await client.running_turn(first.session_id, seconds=20)
        refused = await ask(stack, "whole", "And?", state)
        assert refused.error and refused.error["code"] == "TURN_IN_PROGRESS"
        await client.call("POST", f"/api/v1/chat/turns/{turn_id}/cancel")
    await asking


async def test_who_is_not_known_and_who_asks_too_often_is_told_in_its_shape(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(env={**ONE_ATTEMPT, "CHAT_LIMIT_REQUESTS": "1/100000000", "CHAT_AUTH": "apikey,dev"})
    for kind in KINDS:
        unknown = await ask(stack, kind, "Hi", headers={"x-api-key": "parley_wrong"})
        assert unknown.error and unknown.error["code"] == "UNAUTHENTICATED"
        known = {"x-dev-user": f"user-{kind}"}
        assert (await ask(stack, kind, "#chunks=1 Hi", headers=known)).error is None
        limited = await ask(stack, kind, "#chunks=1 Hi", headers=known)
        assert limited.error and limited.error["code"] == "RATE_LIMITED"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
async def test_when_the_process_is_killed_the_stream_breaks_and_the_turn_ends_for_who_looks(
    kind: str,
) -> None:
    with Stack.start(2, env={**ONE_ATTEMPT, "CHAT_COALESCE_MS": "0"}) as stack:
        first = await ask(stack, "whole", "#chunks=1 Hi")
        state = {"sessionState": first.session_id}
        asking = asyncio.create_task(ask(stack, kind, "#chunks=400 #rate=20", state))
        async with connected(stack.urls[1]) as client:
            turn_id = await client.running_turn(first.session_id, seconds=20)
            async with client.follow(turn_id) as stream:
                await stream.take(10)
                os.kill(stack.pids[0], signal.SIGKILL)
                found = await asking
                assert found.error is not None
                assert found.context("status") == []
                last = (await stream.read())[-2].payload
        assert (last["type"], last["code"]) == ("error", "INTERRUPTED")


async def test_the_program_of_the_documentation_works(stack: Stack) -> None:
    [(language, program)] = snippets_of("AI Chat")
    assert await run_snippet(language, program, stack.url) == f"{expected_text(3)}\n{expected_text(2)}\n"
