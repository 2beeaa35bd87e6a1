"""The programs of docs/protocols.md for a deployed app: by an API key and a function key, and from a page elsewhere."""

import json
import re
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from chat.routes.reply_headers import READABLE
from tests.support.azurite import NODE
from tests.support.browser import opened_page
from tests.support.clients import connected
from tests.support.node import run_program
from tests.support.settings import ONE_ATTEMPT
from tests.support.snippets import LOCAL, run_snippet, snippets_of
from tests.support.stack import Stack
from tests.support.web_server import served

ANSWER = "word1 word2 word3"
PROGRAMS = dict(snippets_of("A deployed app"))
ASKING = {
    "js": Path(__file__).with_name("deployed.mjs").read_text(),
    "python": """
import asyncio

response = openai.responses.create(model="default", input="#chunks=3 Hello")
messages = read(response.id.removeprefix("resp_")).read_json()


async def ask():
    async with mcp as client:
        return (await client.call_tool("ask", {"text": "#chunks=3 Hello"})).content[0].text


print(response.output_text, "".join(each.get("delta", "") for each in messages), asyncio.run(ask()), sep="; ")
""",
}
PAGE = (
    "<!doctype html><script>import('/program.js').catch((error) => (said = { error: error.stack }))</script>"
)
BUNDLE = """
const options = { contents: process.argv[1], resolveDir: process.cwd() };
const { outputFiles } = require("esbuild").buildSync({ stdin: options, bundle: true, format: "esm", write: false });
console.log(outputFiles[0].text);
"""


@pytest.fixture(scope="module")
def deployed() -> Generator[Stack]:
    env = ONE_ATTEMPT | {"CHAT_HTTP_AUTH_LEVEL": "FUNCTION", "CHAT_CORS_ORIGINS": "http://127.0.0.1:*"}
    with Stack.start(env=env, flags=["--cors", "", "--enable-auth", "--auth", "jwt,apikey"]) as running:
        yield running


@pytest.fixture
async def programs(deployed: Stack) -> dict[str, str]:
    """By their languages, with the credentials in their places."""
    key = deployed.function_key
    async with aiohttp.ClientSession() as http, http.post(f"{deployed.issuer_url}/token?user=ann") as reply:
        token = (await reply.json())["access_token"]
    async with connected(deployed.url) as ann:
        ann.headers |= {"authorization": f"Bearer {token}", "x-functions-key": key}
        made = (
            await ann.call("POST", "/api/v1/chat/keys", json={"name": "all", "scopes": ["read", "write"]})
        ).body
    places = {"<token or API key>": made["key"], "<function key>": key, LOCAL: deployed.url}
    filled = dict[str, str]()
    for language, program in PROGRAMS.items():
        whole = program + ASKING[language]
        for place, value in places.items():
            assert place in program
            whole = whole.replace(place, value)
        filled[language] = whole
    return filled


async def test_clients_say_who_asks(deployed: Stack, programs: dict[str, str]) -> None:
    said = json.loads(await run_snippet("js", programs["js"], deployed.url))
    assert said == dict.fromkeys(said, ANSWER)
    assert await run_snippet("python", programs["python"], deployed.url) == f"{ANSWER}; {ANSWER}; {ANSWER}\n"


async def test_a_client_of_mcp_learns_without_any_key_where_to_sign_in(deployed: Stack) -> None:
    """The 401 that it begins with is the app's: its user gave it the function key, as a header of `/api/mcp`."""
    async with connected(deployed.url) as stranger:
        stranger.headers = {"x-functions-key": deployed.function_key}
        async with stranger.open("POST", "/api/mcp", json={}) as refused:
            named = refused.headers["www-authenticate"]
            assert (refused.status, "www-authenticate" in READABLE) == (401, True)
        stranger.headers = {}
        [address] = re.findall(r'resource_metadata="([^"]+)"', named)
        found = await stranger.call("GET", urlsplit(address).path)
        assert (found.status, found.body["authorization_servers"]) == (200, [deployed.issuer_url])
        async with stranger.open("GET", "/api/v1/chat/health") as keyed:
            assert keyed.status == 401


@asynccontextmanager
async def page_of(program: str) -> AsyncGenerator[str]:
    """The URL of a page with that program."""

    async def show(request: web.Request) -> web.Response:
        if request.path == "/program.js":
            return web.Response(text=program, content_type="text/javascript")
        return web.Response(text=PAGE, content_type="text/html")

    app = web.Application()
    app.router.add_get("/{name:.*}", show)
    async with served(app) as url:
        yield url


async def test_clients_work_in_a_page_of_another_origin(
    programs: dict[str, str], tool: Callable[[str], str]
) -> None:
    bundled = await run_program([str(NODE), "-e", BUNDLE, programs["js"]])
    async with page_of(bundled) as url, opened_page(tool("chromium"), url) as page:
        said = await page.until("globalThis.said")
    assert said == dict.fromkeys(said, ANSWER)
