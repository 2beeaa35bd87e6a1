"""`/api/docs` in a real browser: it shows the document, tries a route, and asks nobody else for anything."""

from collections.abc import AsyncGenerator, Callable

import pytest

from tests.support.browser import Page, opened_page
from tests.support.clients import ChatClient
from tests.support.stack import Stack

REPORTS = """new Promise(resolve => {
  new ReportingObserver(found => resolve(found.map(each => each.body.toJSON())), {buffered: true}).observe();
  setTimeout(() => resolve([]), 500);
})"""
FETCHED = "performance.getEntriesByType('resource').map(each => each.name)"
HEALTH = "document.getElementById('operations-health-health')"


@pytest.fixture
async def page(stack: Stack, tool: Callable[[str], str]) -> AsyncGenerator[Page]:
    async with opened_page(tool("chromium"), f"{stack.url}/api/docs?code=x") as opened:
        await opened.until("document.querySelectorAll('.opblock').length")
        yield opened


async def test_it_lists_every_operation_and_asks_for_the_document_alone(
    page: Page, client: ChatClient, stack: Stack
) -> None:
    document = (await client.call("GET", "/api/openapi.json")).body
    operations = [each for path in document["paths"].values() for each in path]
    assert await page.run("document.querySelectorAll('.opblock').length") == len(operations)
    assert "OAS 3.1" in await page.run("document.querySelector('.title').textContent")
    assert await page.run(FETCHED) == [f"{stack.url}/api/openapi.json?code=x"]
    assert await page.run(REPORTS) == []


async def test_it_tries_a_route(page: Page, stack: Stack) -> None:
    await page.run(f"{HEALTH}.querySelector('button').click()")
    await page.until(f"!!{HEALTH}.querySelector('.execute')")
    await page.run(f"{HEALTH}.querySelector('.execute').click()")
    shown = await page.until(
        f"{HEALTH}.querySelector('.live-responses-table tbody .response-col_status')?.textContent"
    )
    assert shown.startswith("200")
    assert {each.partition("?")[0] for each in await page.run(FETCHED)} == {
        f"{stack.url}/api/openapi.json",
        f"{stack.url}/api/v1/chat/health",
    }
    assert await page.run(REPORTS) == []


FOREIGN = [
    ("script", "textContent", "window.ran = true", "script-src-elem"),
    ("script", "src", "https://example.com/x.js", "script-src-elem"),
    ("img", "src", "https://example.com/x.png", "img-src"),
    ("iframe", "src", "https://example.com/", "frame-src"),
]


@pytest.mark.parametrize(("tag", "name", "value", "directive"), FOREIGN)
async def test_nothing_else_may_run_or_be_asked_for(
    page: Page, tag: str, name: str, value: str, directive: str
) -> None:
    made = f"Object.assign(document.createElement('{tag}'), {{{name}: '{value}'}})"
    await page.run(f"document.body.append({made})")
    assert [each["effectiveDirective"] for each in await page.run(REPORTS)] == [directive]
    assert await page.run("window.ran") is None
