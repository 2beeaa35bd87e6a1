"""Genie, through the real SDK, against a stand-in of its API."""

import asyncio
import json
import logging
import threading
from collections.abc import AsyncGenerator

import pytest

from chat.calls import ToolCall
from chat.databricks import DatabricksAccess
from chat.tools import genie as module
from chat.tools.base import Caller, ToolResult
from chat.tools.genie import Genie
from chat.tools.registry import ToolRegistry
from chat.tools.threads import SHARES, THREAD
from tests.support.genie_service import CLIENT, TOKEN, GenieService, running_genie


@pytest.fixture
async def service(monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[GenieService]:
    monkeypatch.setattr(module, "POLLS", (0.01,))
    async with running_genie() as running:
        yield running


def box(access: DatabricksAccess, time_limit: float = 20) -> ToolRegistry:
    return ToolRegistry(Genie(access).tools, time_limit=time_limit, max_output=100_000)


async def ask(
    access: DatabricksAccess, query: str = "Revenue?", space_id: str = "s1", time_limit: float = 20
) -> ToolResult:
    arguments = json.dumps({"space_id": space_id, "query": query})
    return await box(access, time_limit).run(ToolCall("c", "execute_genie_query", arguments))


async def test_a_question_is_answered_with_text_sql_and_rows(service: GenieService) -> None:
    result = await ask(DatabricksAccess(service.url, TOKEN), "Revenue by plant?")
    assert not result.is_error, result.output
    assert json.loads(result.output) == {
        "text": "Revenue by plant.",
        "description": "Sums up.",
        "sql": service.sql,
        "columns": ["plant", "total"],
        "rows": [["Aurora", "12.5"], ["Delta", None]],
    }
    assert service.asked == [("s1", "Revenue by plant?")]


async def test_a_service_principal_may_ask_too(service: GenieService) -> None:
    result = await ask(DatabricksAccess(service.url, client_id=CLIENT[0], client_secret=CLIENT[1]))
    assert not result.is_error, result.output


async def test_a_slow_answer_is_waited_for(service: GenieService) -> None:
    service.statuses = ["SUBMITTED", "FETCHING_METADATA", "ASKING_AI", "EXECUTING_QUERY", "COMPLETED"]
    assert not (await ask(DatabricksAccess(service.url, TOKEN))).is_error
    assert service.looks == 5


async def test_an_answer_without_sql_is_its_text(service: GenieService) -> None:
    service.sql = ""
    result = await ask(DatabricksAccess(service.url, TOKEN))
    assert json.loads(result.output) == {"text": "Revenue by plant."}


async def test_no_answer_is_said(service: GenieService) -> None:
    service.sql = service.text = ""
    assert "no answer" in (await ask(DatabricksAccess(service.url, TOKEN))).output


async def test_of_many_rows_the_first_are_shown(service: GenieService) -> None:
    service.rows = [["Aurora", str(number)] for number in range(250)]
    found = json.loads((await ask(DatabricksAccess(service.url, TOKEN))).output)
    assert (len(found["rows"]), found["truncated"]) == (200, True)


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "QUERY_RESULT_EXPIRED"])
async def test_an_answer_that_failed_says_why(service: GenieService, status: str) -> None:
    service.statuses, service.error = ["ASKING_AI", status], "No such table."
    result = await ask(DatabricksAccess(service.url, TOKEN))
    assert result == ToolResult(f"Genie ended with {status}: No such table.", is_error=True)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "RESOURCE_DOES_NOT_EXIST", "Space s1 does not exist."),
        (403, "PERMISSION_DENIED", "No access."),
        (400, "INVALID_PARAMETER_VALUE", "Bad question."),
    ],
)
async def test_what_the_service_refuses_is_told_to_the_model(
    service: GenieService, status: int, code: str, message: str
) -> None:
    service.refusal = (status, code, message)
    result = await ask(DatabricksAccess(service.url, TOKEN))
    assert result.is_error
    assert message in result.output


async def test_a_wrong_token_is_no_secret_told(service: GenieService) -> None:
    result = await ask(DatabricksAccess(service.url, "dapi-wrong"))
    assert result.is_error
    assert "dapi-wrong" not in result.output


async def test_a_workspace_that_is_away_is_an_error(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chat.databricks.RETRYING", 1)
    with caplog.at_level(logging.ERROR, "chat"):
        result = await ask(DatabricksAccess("http://127.0.0.1:9", TOKEN))
    assert (result.output, result.is_error) == ("Genie cannot be reached.", True)
    assert TOKEN not in caplog.text


async def test_an_answer_that_never_comes_is_given_up(service: GenieService) -> None:
    service.statuses = ["EXECUTING_QUERY"]
    access = DatabricksAccess(service.url, TOKEN)
    tools = box(access, time_limit=0.3)
    call = ToolCall("c", "execute_genie_query", '{"space_id": "s1", "query": "?"}')
    assert (await tools.run(call)).output == "execute_genie_query took longer than 0.3 s."


async def test_a_turn_that_is_stopped_asks_no_more(service: GenieService) -> None:
    service.statuses = ["EXECUTING_QUERY"]
    running = asyncio.create_task(ask(DatabricksAccess(service.url, TOKEN)))
    async with asyncio.timeout(20):
        await service.looked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.05)  # a look that was on its way
    looks = service.looks
    await asyncio.sleep(0.05)
    assert service.looks == looks


async def test_names_are_looked_up_while_many_questions_hang(service: GenieService) -> None:
    await ask(DatabricksAccess(service.url, TOKEN))  # to import the SDK takes a while
    others = set(threading.enumerate())  # the thread of that question may not have ended
    service.hanging = True
    tools = box(DatabricksAccess(service.url, TOKEN))
    arguments = json.dumps({"space_id": "s1", "query": "?"})
    asked = ToolCall("c", "execute_genie_query", arguments)
    running = [asyncio.create_task(tools.run(asked, Caller(f"user{each % 20}"))) for each in range(60)]
    await asyncio.sleep(0.5)
    async with asyncio.timeout(1):
        await asyncio.get_running_loop().getaddrinfo("localhost", 80)
    assert sum(each.name == THREAD for each in set(threading.enumerate()) - others) <= SHARES.slots
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("space_id", ["", "../x", "a/b", "a?b", "x" * 65])
async def test_a_space_cannot_lead_elsewhere(service: GenieService, space_id: str) -> None:
    result = await ask(DatabricksAccess(service.url, TOKEN), space_id=space_id)
    assert (result.is_error, service.asked) == (True, [])


@pytest.mark.parametrize(
    ("access", "offered"),
    [
        (DatabricksAccess("", "t"), False),
        (DatabricksAccess("https://x"), False),
        (DatabricksAccess("https://x", client_id="a"), False),
        (DatabricksAccess("https://x", "t"), True),
        (DatabricksAccess("https://x", client_id="a", client_secret="b"), True),
    ],
)
async def test_it_is_offered_only_when_it_is_configured(access: DatabricksAccess, offered: bool) -> None:
    assert bool(Genie(access).tools) == offered
