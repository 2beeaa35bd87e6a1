"""The examples of sockets run as they stand: the script in Python, and the page in a real browser."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Generator

import pytest
from aiohttp import web

from tests.support.browser import opened_page
from tests.support.processes import ROOT
from tests.support.stack import Stack
from tests.support.web_server import served

EXAMPLES = ROOT / "examples"


@pytest.fixture
async def page_url(request: pytest.FixtureRequest) -> AsyncGenerator[str]:
    """A web server for the folder of the examples, as `python -m http.server` is one."""
    app = web.Application()
    app.router.add_static("/", EXAMPLES)
    async with served(app) as url:
        yield f"{url}/ws_chat.html"


@pytest.fixture(scope="module")
def open_stack() -> Generator[Stack]:
    """Pages of any origin may read its answers."""
    with Stack.start(flags=["--cors", "*"]) as running:
        yield running


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        ("chat", "Hello, AI!", ["stand-in", "to know?"]),
        (
            "plan",
            "plan a 3 day trip to Tokyo and Kyoto",
            ["intents: ", "poi: ", "requirements: ", "plan: ", "100 %"],
        ),
        ("session", "Hello, AI!", ["stand-in", "to know?"]),
        ("chat", "#status=401", ["chat_error"]),
    ],
)
async def test_the_script_shows_the_answer_and_ends(
    open_stack: Stack, dialect: str, text: str, expected: list[str]
) -> None:
    command = [
        sys.executable,
        str(EXAMPLES / "ws_chat.py"),
        "--url",
        open_stack.url,
        "--dialect",
        dialect,
        text,
    ]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=60, check=True
    )
    assert all(part in done.stdout for part in expected), done.stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://127.0.0.1:9x", "nonsense"])
def test_the_script_says_in_one_line_that_there_is_no_app(url: str) -> None:
    command = [sys.executable, str(EXAMPLES / "ws_chat.py"), "--url", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith(f"No chat at {url} (")


def test_the_script_shows_what_the_app_answers_when_it_refuses(open_stack: Stack) -> None:
    command = [sys.executable, str(EXAMPLES / "ws_chat.py"), "--url", f"{open_stack.url}/nothing"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "answered 404: {" in done.stderr and "NOT_FOUND" in done.stderr


async def test_the_page_shows_every_stage_of_a_trip_as_it_comes(
    open_stack: Stack, page_url: str, tool: Callable[[str], str]
) -> None:
    async with opened_page(tool("chromium"), f"{page_url}?app={open_stack.url}") as page:
        assert (
            await page.run("document.getElementById('text').value") == "plan a 3 day trip to Tokyo and Kyoto"
        )
        await page.run("document.forms[0].requestSubmit()")
        stages = ["intents", "places so far", "pois", "requirements", "plan"]
        headings = "[...document.querySelectorAll('h2')].map((each) => each.textContent.split(':')[0])"
        seen: list[int] = []
        while await page.run("document.body.dataset.state ?? 'running'") == "running":
            seen.append(len(await page.run(headings)))
            await asyncio.sleep(0.02)
        assert await page.run("document.body.dataset.state") == "done", await page.run(
            "document.body.innerText"
        )
        assert list(dict.fromkeys(await page.run(headings))) == stages
        assert len(set(seen)) > 2  # not all at once
        text = await page.run("document.body.innerText")
        assert "Day 3" in text
        assert "Tokyo" in text and "Kyoto" in text


@pytest.mark.parametrize("dialect", ["chat", "session"])
async def test_the_page_chats_and_stops(
    open_stack: Stack, page_url: str, tool: Callable[[str], str], dialect: str
) -> None:
    async with opened_page(tool("chromium"), f"{page_url}?app={open_stack.url}") as page:
        await page.run(f"document.getElementById('dialect').value = '{dialect}'")
        await page.run("document.getElementById('text').value = '#chunks=2000 #rate=50'")
        await page.run("document.forms[0].requestSubmit()")
        await page.until("document.querySelector('pre')?.textContent.includes('word5')")
        await page.run("document.getElementById('stop').click()")
        await page.until("document.body.dataset.state === 'done'", seconds=5)


async def test_the_page_says_when_it_finds_no_app(page_url: str, tool: Callable[[str], str]) -> None:
    async with opened_page(tool("chromium"), f"{page_url}?app=http://127.0.0.1:9") as page:
        await page.run("document.forms[0].requestSubmit()")
        await page.until("document.body.dataset.state === 'error'")
        assert "is the app running" in await page.run("document.body.innerText")
