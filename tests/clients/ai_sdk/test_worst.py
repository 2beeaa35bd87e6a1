"""The AI SDK where nobody is known, and where nothing is left: what pages of both versions are told over HTTP."""

from collections.abc import Generator

import pytest

from tests.clients.ai_sdk.run import VERSIONS, play, send
from tests.support.clients import connected
from tests.support.settings import ONE_ATTEMPT
from tests.support.stack import Stack

ENOUGH = "Only 2 requests in 100000000 s: wait a little."


@pytest.fixture(scope="module")
def strict() -> Generator[Stack]:
    """Who asks needs a token; two requests for each."""
    env = {**ONE_ATTEMPT, "CHAT_LIMIT_REQUESTS": "2/100000000"}
    with Stack.start(env=env, flags=["--auth", "jwt"]) as running:
        yield running


async def known(strict: Stack, name: str) -> dict[str, str]:
    async with connected(strict.issuer_url) as issuer, issuer.open("POST", f"/token?user={name}") as stream:
        return {"authorization": f"Bearer {(await stream.response.json())['access_token']}"}


@pytest.mark.parametrize("ai", VERSIONS)
@pytest.mark.parametrize(
    ("headers", "message"),
    [({}, "No principal: sign in first."), ({"authorization": "Bearer x"}, "The token cannot be read.")],
)
async def test_who_is_not_known_is_told_so(
    strict: Stack, ai: str, headers: dict[str, str], message: str
) -> None:
    """Whether they ask or come back: a page that got 204 there would think that nothing runs."""
    for reconnect in (False, True):
        found = await send(strict.url, "Hi", ai=ai, chatId="c", headers=headers, reconnect=reconnect)
        assert (found.chunks, found.resumed, found.error) == ([], 0, message)
        assert found.status == (401 if ai == "ai" else None)


@pytest.mark.parametrize("ai", VERSIONS)
async def test_who_has_asked_enough_is_told_so(strict: Stack, ai: str) -> None:
    asked = {"ai": ai, "chatId": "enough", "headers": await known(strict, f"user of {ai}".replace(" ", "-"))}
    for _ in range(2):
        assert (await send(strict.url, "#chunks=1 Hi", **asked)).error is None
    refused = await send(strict.url, "#chunks=1 Hi", **asked)
    assert (refused.chunks, refused.error) == ([], ENOUGH)
    assert refused.status == (429 if ai == "ai" else None)
    coming_back = await send(strict.url, [], reconnect=True, **asked)
    assert (coming_back.error, coming_back.resumed) == (None, 0)  # to look costs nothing


async def test_a_page_shows_the_sentence_and_can_ask_again(strict: Stack) -> None:
    page = await play(strict.url, "nobody", {"send": "Hi"}, {"send": "Hi again"})
    assert page.statuses == ["error", "error"]
    assert page.errors == ["No principal: sign in first."] * 2
    assert page.requests == ["POST 401"] * 2
