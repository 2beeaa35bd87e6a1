"""AG-UI where nobody is known, where nothing is left, and where the process dies in the middle of a run."""

import asyncio
import os
import signal
import uuid
from collections.abc import Generator

import pytest

from tests.clients.ag_ui.agents import PATH, body, checked, post, run_agent, run_tanstack, until_it_runs
from tests.support.clients import TERMINAL, connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def strict() -> Generator[Stack]:
    """Who asks needs a key, or is a developer by a header; two requests for each."""
    env = {**ONE_ATTEMPT, "CHAT_LIMIT_REQUESTS": "2/100000000"}
    with Stack.start(env=env, flags=["--auth", "jwt"]) as running:
        yield running


async def test_who_is_not_known_is_told_so(strict: Stack) -> None:
    agent = await run_agent(strict.url, {"say": "Hi"}, headers={"authorization": "Bearer x"})
    [run] = agent.runs
    assert run.error is not None
    assert (run.error["status"], run.error["payload"]["error_code"]) == (401, "UNAUTHENTICATED")
    chat = await run_tanstack(strict.url, say=["Hi"])
    assert chat["errors"] == ["HTTP error! status: 401 Unauthorized"]


async def test_who_has_asked_enough_is_told_so(strict: Stack) -> None:
    async with connected(strict.issuer_url) as issuer, issuer.open("POST", "/token?user=ann") as stream:
        token = (await stream.response.json())["access_token"]
    headers = {"authorization": f"Bearer {token}"}
    agent = await run_agent(strict.url, *[{"say": "#chunks=1 Hi"}] * 3, headers=headers)
    assert [each.error for each in agent.runs[:2]] == [None, None]
    error = agent.runs[2].error
    assert (error["status"], error["payload"]["error_code"]) == (429, "RATE_LIMITED")


@pytest.mark.slow
async def test_when_the_process_is_killed_the_end_reaches_who_comes_back() -> None:
    """They have seen more than was stored: a flush comes once a second."""
    with Stack.start(2, env={**ONE_ATTEMPT, "CHAT_COALESCE_MS": "0"}) as stack:
        thread, run = uuid.uuid4().hex, uuid.uuid4().hex
        asked = body(thread, run, "#endless #rate=20")
        also = stack.urls[1] + PATH
        async with connected(stack.urls[0]) as client, client.open("POST", PATH, json=asked) as stream:
            chatting = asyncio.create_task(
                run_tanstack(stack.urls[0], say=["#endless #rate=20"], threadId="t" + thread, also=also)
            )
            await until_it_runs(client, "t" + thread)
            seen = await stream.take(60)
            os.kill(stack.pids[0], signal.SIGKILL)
        chat = await chatting
        assert chat["errors"] == ["The answer was interrupted: the process that made it ended."]
        assert (chat["chunks"][-1], chat["status"]) == ("RUN_ERROR", "error")
        async with connected(stack.urls[1]) as client:
            last = seen[-1]
            [end] = await post(client, asked, **{"last-event-id": last.id})
            assert (end.id, end.payload["code"]) == (TERMINAL, "INTERRUPTED")
            whole = await post(client, asked)
            assert checked(whole)[-1].data == end.data
            joined = await run_agent(stack.urls[1], {"connect": f"offset=-1&runId={run}"})
            assert joined.runs[0].events[-1]["code"] == "INTERRUPTED"
            again = await run_agent(stack.urls[1], {"say": "#chunks=1 Again"}, threadId=thread)
            assert again.runs[0].outcome == {"type": "success"}
