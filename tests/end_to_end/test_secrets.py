"""What the app logs of requests that have a secret in their address, at the level that a platform logs at. All that the
stack printed is looked at when it stops (tests/support/canaries.py)."""

from collections.abc import Generator

import pytest

from tests.support import canaries
from tests.support.clients import connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.sockets import Socket
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def talkative() -> Generator[Stack]:
    env = {**ONE_ATTEMPT, "CHAT_HTTP_AUTH_LEVEL": "FUNCTION"}
    with Stack.start(env=env, flags=["--enable-auth", "--verbose"]) as running:
        yield running


async def test_keys_tokens_and_tickets_in_addresses_are_not_logged(talkative: Stack) -> None:
    key = talkative.function_key
    code, token = f"?code={key}", canaries.canary("token")
    async with connected(talkative.url) as client:
        for path in ("/api/v1/chat/sessions", "/api/v1/chat/turns/x", "/nothing"):
            assert (await client.call("GET", f"{path}{code}&token={token}")).status in (200, 404)
        for text in ("Hi", "#status=401", "#status=400", "#malformed=1"):
            body = {"messages": [{"role": "user", "content": text}]}
            async with client.open("POST", f"/api/chat/stream{code}&token={token}", json=body) as reply:
                assert await reply.response.read()
        reply = await client.call("GET", f"/ws{code}&token={token}")
        socket = Socket(reply.body["url"])
        await socket.open()
        await socket.say(type="chat", payload={"text": "#status=401"})
        await socket.of("chat_error")
        await socket.aclose()
        wrong = await client.call("GET", f"/ws{code}&session_id={'x' * 300}&token={token}")
        assert wrong.status == 422
    talkative.stop()
    assert not canaries.found()
    assert key not in talkative.errors
    assert "/api/v1/chat/sessions" in talkative.errors  # requests are logged, but for their queries
