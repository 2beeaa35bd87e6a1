"""Clients that open a WebSocket and speak, with no call before it: in Node, in Python, and in a browser's page."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.azurite import NODE
from tests.support.browser import opened_page
from tests.support.clients import connected
from tests.support.processes import ROOT
from tests.support.stack import Stack
from tests.support.web_server import served

HERE = Path(__file__).parent
RUN = {".mjs": str(NODE), ".py": sys.executable}
both_languages = pytest.mark.parametrize("language", [".mjs", ".py"])


async def run(client: str, *arguments: str) -> str:
    """What a client printed, which knows nothing but its arguments."""
    command = [RUN[Path(client).suffix], str(HERE / client), *arguments]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def is_answer(text: str) -> bool:
    """Whether it is the whole of what the stand-in for the model says to a greeting."""
    return text.startswith("Hello! ") and text.rstrip().endswith("to know?")


def sockets_of(stack: Stack) -> str:
    return stack.url.replace("http", "ws")


@both_languages
async def test_a_chat(stack: Stack, language: str) -> None:
    assert is_answer(await run(f"socket_chat{language}", f"{sockets_of(stack)}/ws", "Hello, AI!"))


@both_languages
async def test_a_trip(stack: Stack, language: str) -> None:
    said = await run(f"socket_trip{language}", f"{sockets_of(stack)}/ws/chat", "plan a 3 day trip to Tokyo")
    planned = json.loads(said)
    assert {each["city"] for each in planned["pois"]} == {"Tokyo"}
    assert [each["day"] for each in planned["plan"][0]["days"]] == [1, 2, 3]


@both_languages
async def test_a_room(stack: Stack, language: str) -> None:
    async with connected(stack.url) as client:
        session_id = await client.new_session()
        path = f"/api/v1/chat/sessions/{session_id}/websocket"
        said = await run(f"socket_room{language}", sockets_of(stack) + path, "Hello, everybody!")
        assert is_answer(said)
        [question, answer] = await client.messages(session_id)
        assert (question["content"], answer["content"]) == ("Hello, everybody!", said.rstrip())


@pytest.fixture
async def page_url() -> AsyncGenerator[str]:
    """A web server of its own for the page, as `python -m http.server` is one."""
    app = web.Application()
    app.router.add_static("/", HERE)
    async with served(app) as url:
        yield url


async def test_a_page_whose_origin_may_chats(
    page_url: str, start_stack: Callable[..., Stack], tool: Callable[[str], str]
) -> None:
    browser = tool("chromium")
    stack = await asyncio.to_thread(start_stack, flags=["--cors", page_url])
    async with opened_page(browser, f"{page_url}/socket_chat.html?server={sockets_of(stack)}/ws") as page:
        await page.until("document.body.dataset.state === 'open'")
        await page.run("document.forms[0].requestSubmit()")
        await page.until("document.body.dataset.state === 'done'")
        assert is_answer(await page.run("document.getElementById('out').textContent"))


async def test_a_page_of_the_app_s_own_origin_chats(stack: Stack, tool: Callable[[str], str]) -> None:
    # A page of the host's: those of the app are JSON, which may connect to nothing.
    async with opened_page(tool("chromium"), f"{stack.url}/admin/host/status") as page:
        chat = """new Promise((resolve, reject) => {
            let said = "";
            const socket = new WebSocket(`ws://${location.host}/ws`);
            socket.onopen = () => socket.send('{"type":"chat","payload":{"text":"Hello, AI!"}}');
            socket.onerror = reject;
            socket.onmessage = ({ data }) => {
              const { payload } = JSON.parse(data);
              said += payload.text ?? "";
              if (payload.done) resolve(said);
            };
        })"""
        assert is_answer(await page.run(chat))


async def test_a_page_on_another_port_is_refused(
    stack: Stack, page_url: str, tool: Callable[[str], str]
) -> None:
    async with opened_page(
        tool("chromium"), f"{page_url}/socket_chat.html?server={sockets_of(stack)}/ws"
    ) as page:
        await page.until("document.body.dataset.state")
        assert await page.run("document.body.dataset.state") == "refused"
