"""The service may take 5 s for a page of a scan, and may give none of its rows with a token to go on with."""

import asyncio
import json
from collections.abc import AsyncGenerator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from chat.clock import SystemClock
from chat.store.tables.table_client import ATTEMPT_TIMEOUT
from chat.store.tables.table_service import TableService
from chat.store.tables.table_storage import TableStorage
from tests.support.azurite import KEY

SLOW = ATTEMPT_TIMEOUT + 0.1


class SlowTables:
    """Two pages for each query, the first of them empty; each takes its time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def answer(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.json_response({}, status=409)  # the tables are there
        token = request.query.get("NextRowKey", "")
        self.asked.append(token)
        await asyncio.sleep(SLOW)
        page, following = {"": ([], "1"), "1": (["i1", "i2"], "")}[token]
        rows = [
            {
                "PartitionKey": each,
                "RowKey": "beat",
                "beat": 1,
                "fenced": False,
                "turns": "",
                "Timestamp": "2026-11-20T08:15:00Z",
                "odata.etag": "1",
            }
            for each in page
        ]
        headers = {"Date": "Fri, 20 Nov 2026 08:15:00 GMT"}
        if following:
            headers |= {
                "x-ms-continuation-NextPartitionKey": "p",
                "x-ms-continuation-NextRowKey": following,
            }
        return web.Response(
            body=json.dumps({"value": rows}), headers=headers, content_type="application/json"
        )


@pytest.fixture
def tables() -> SlowTables:
    return SlowTables()


@pytest.fixture
async def storage(tables: SlowTables) -> AsyncGenerator[TableStorage]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", tables.answer)
    async with TestServer(app) as server:
        url = f"http://127.0.0.1:{server.port}/account"
        connection = (
            f"DefaultEndpointsProtocol=http;AccountName=account;AccountKey={KEY};TableEndpoint={url};"
        )
        storage = TableStorage(TableService({"": connection}, "chat"), SystemClock())
        yield storage
        await storage.aclose()


async def test_a_scan_waits_for_slow_pages_and_goes_on_after_an_empty_one(
    storage: TableStorage, tables: SlowTables
) -> None:
    leases = await storage.instances.list_leases()
    assert [lease.instance_id for lease in leases] == ["i1", "i2"]
    assert tables.asked == ["", "1"]
