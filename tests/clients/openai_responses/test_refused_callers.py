"""Whoever is not known, asks too often, or asks in vain, as the openai packages of PyPI and npm tell it."""

import json
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import openai as sdk
import pytest
from openai import AsyncOpenAI

from local.model_server import expected_text
from tests.clients.openai_responses.steps import API, ask
from tests.support.clients import connected
from tests.support.node import run_script
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

SCRIPT = Path(__file__).with_name("responses.mjs")
ONE = "#chunks=1 Hi"


@pytest.fixture(scope="module")
def limited() -> Generator[Stack]:
    """Where everybody may ask once in two seconds, and a key that is none is refused."""
    limits = {"CHAT_LIMIT_REQUESTS": "1/2", "CHAT_AUTH": "apikey,dev"}
    with Stack.start(env={**ONE_ATTEMPT, **limits}) as running:
        yield running


async def key_of(stack: Stack, user: str) -> str:
    async with connected(stack.url, user=user) as other:
        made = await other.call("POST", "/api/v1/chat/keys", json={"name": "mine"})
    return made.body["key"]


def client_with(stack: Stack, key: str, retries: int = 0) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=stack.url + API, api_key=key, max_retries=retries)


async def test_a_key_that_is_none_is_refused_on_every_route(limited: Stack) -> None:
    calls: list[Callable[[AsyncOpenAI], Any]] = [
        lambda client: ask(client, ONE),
        lambda client: ask(client, ONE, stream=True),
        lambda client: ask(client, ONE, background=True),
        lambda client: client.responses.retrieve("resp_x"),
        lambda client: client.responses.retrieve("resp_x", stream=True),
        lambda client: client.responses.cancel("resp_x"),
        lambda client: client.responses.delete("resp_x"),
        lambda client: client.responses.input_items.list("resp_x"),
    ]
    async with client_with(limited, "parley_wrong") as stranger:
        for call in calls:
            with pytest.raises(sdk.AuthenticationError) as refused:
                await call(stranger)
            assert (refused.value.code, refused.value.type) == ("unauthenticated", "authentication_error")


@pytest.mark.parametrize(
    "how", [{}, {"stream": True}, {"background": True}], ids=["whole", "stream", "background"]
)
async def test_who_asks_too_often_is_told_when_to_ask_again(limited: Stack, how: dict[str, Any]) -> None:
    key = await key_of(limited, "-".join(["ann", *how]))
    async with client_with(limited, key) as client, client_with(limited, key, retries=2) as patient:
        first = await ask(client, ONE)
        with pytest.raises(sdk.RateLimitError) as refused:
            await ask(client, ONE, **how)
        assert (refused.value.code, refused.value.type) == ("rate_limited", "rate_limit_error")
        assert int(refused.value.response.headers["retry-after"]) >= 1
        assert (await client.responses.retrieve(first.id)).output_text == expected_text(1), "to look is free"
        assert (await ask(patient, ONE)).output_text == expected_text(1)


async def test_the_client_for_node_is_told_the_same(limited: Stack) -> None:
    told = json.loads(await run_script(SCRIPT, limited.url, "strangers", await key_of(limited, "bob")))
    unknown, often, waited, text = told
    assert unknown == ["AuthenticationError", 401, "unauthenticated", "authentication_error"]
    assert often == ["RateLimitError", 429, "rate_limited", "rate_limit_error"]
    assert (waited, text) == (True, expected_text(1))


async def test_what_would_fail_again_is_not_asked_again(pair: Stack, openai: AsyncOpenAI) -> None:
    async with connected(pair.url) as other:
        session_id = await other.new_session()
        await other.call("PUT", f"/api/v1/chat/sessions/{session_id}", json={"is_active": False})
    with pytest.raises(sdk.ConflictError) as refused:
        await ask(openai, ONE, conversation=session_id)
    assert refused.value.code == "session_inactive"
    assert refused.value.response.headers["x-should-retry"] == "false"
