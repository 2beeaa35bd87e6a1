"""A real browser (Chromium, without a window) over the DevTools protocol: opens a page, runs JavaScript in it."""

import asyncio
import itertools
import json
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-port=0"),
)
WAIT = 30.0  # seconds for the browser to start, and for anything on a page


class Page:
    """One page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self.console: list[str] = []

    async def run(self, code: str) -> Any:
        """The value of a JavaScript expression; promises are awaited."""
        found = await self._call("Runtime.evaluate", expression=code, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    async def until(self, code: str, *, seconds: float = WAIT) -> Any:
        """The first true value of an expression."""
        async with asyncio.timeout(seconds):
            while not (value := await self.run(code)):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return value

    async def _call(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(WAIT):
            async for text in self._socket:
                said = json.loads(text)
                if said.get("id") == number:
                    assert "error" not in said, said
                    return said["result"]
        raise AssertionError("the browser is gone")


@asynccontextmanager
async def opened_page(browser: str, url: str) -> AsyncGenerator[Page]:
    """A page in a browser of its own, with a profile of its own."""
    with tempfile.TemporaryDirectory() as profile:
        process = await asyncio.create_subprocess_exec(
            browser,
            *FLAGS,
            f"--user-data-dir={profile}",
            url,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            target = await _target(Path(profile) / "DevToolsActivePort", url)
            async with connect(target, max_size=None) as socket:
                page = Page(socket)
                loaded = "document.readyState === 'complete' && location.href !== 'about:blank'"
                await page.until(loaded)
                yield page
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await asyncio.sleep(0.2)  # its helpers still write to the profile


async def _target(port_file: Path, url: str) -> str:
    """The DevTools address of the page."""
    async with asyncio.timeout(WAIT), aiohttp.ClientSession() as http:
        while True:
            await asyncio.sleep(0.05)
            port = _first_line(port_file)
            if not port:
                continue
            async with http.get(f"http://127.0.0.1:{port}/json") as reply:
                targets = await reply.json()
            pages = [each for each in targets if each["type"] == "page" and each["url"].startswith(url)]
            if pages:
                return pages[0]["webSocketDebuggerUrl"]


def _first_line(file: Path) -> str:
    return file.read_text().partition("\n")[0] if file.exists() else ""
