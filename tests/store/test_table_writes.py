"""Writes as bytes. That the service accepts every kind of them is shown by the contract of the store."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import EdmType
from azure.data.tables.aio import TableServiceClient

from chat.store.tables.table_client import creating, deleting, merging
from chat.store.tables.table_connection import Connection, Refused
from chat.store.tables.table_writes import read_batch, send_batch, send_write, typed, write_batch


async def _no_session() -> Any:
    raise AssertionError("nothing is to be sent")


UNUSED = Connection(_no_session, None)
ROW = {"PartitionKey": "p", "RowKey": "it's"}

REPLY = (
    b"--batchresponse_1\r\nContent-Type: multipart/mixed; boundary=changesetresponse_1\r\n\r\n"
    b"--changesetresponse_1\r\nContent-Type: application/http\r\n\r\n"
    b"HTTP/1.1 204 No Content\r\nETag: W/\"datetime'1'\"\r\n\r\n\r\n"
    b"--changesetresponse_1\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n\r\n"
    b"--changesetresponse_1--\r\n--batchresponse_1--\r\n"
)
REFUSAL = (
    b"--batchresponse_1\r\n--changesetresponse_1\r\n\r\nHTTP/1.1 412 Precondition Failed\r\n\r\n"
    b'{"odata.error":{"code":"UpdateConditionNotSatisfied"}}\r\n--changesetresponse_1--\r\n'
)


def test_the_etags_of_a_reply_are_read_in_order() -> None:
    assert read_batch(REPLY) == ["W/\"datetime'1'\"", ""]


def test_a_refused_batch_raises_the_status_of_the_operation_at_fault() -> None:
    with pytest.raises(Refused, match="UpdateConditionNotSatisfied") as refused:
        read_batch(REFUSAL)
    assert refused.value.status_code == 412


def test_a_reply_that_is_no_batch_is_an_error() -> None:
    with pytest.raises(Refused):
        read_batch(b"<html>")


def test_keys_are_escaped_and_guards_are_sent() -> None:
    body = write_batch("http://a/t", "1", [merging(dict(ROW), "W/1"), deleting("p", "k")])
    assert "PATCH http://a/t(PartitionKey='p',RowKey='it%27%27s') HTTP/1.1\r\n" in body
    assert "If-Match: W/1\r\n" in body
    assert "DELETE http://a/t(PartitionKey='p',RowKey='k') HTTP/1.1\r\n" in body
    assert "If-Match: *\r\n" in body


def test_a_body_is_ascii_whatever_the_text() -> None:
    assert write_batch("http://a/t", "1", [creating({**ROW, "text": "\U0001f600 \u2028 é"})]).isascii()


def test_types_that_json_lacks_are_named() -> None:
    moment = datetime(2026, 11, 20, 8, 15, tzinfo=UTC)
    assert typed({"i": 1, "big": (2**40, EdmType.INT64), "b": b"\0", "t": moment, "yes": True, "f": 0.5}) == {
        "i": 1,
        "big": str(2**40),
        "big@odata.type": "Edm.Int64",
        "b": "AA==",
        "b@odata.type": "Edm.Binary",
        "t": "2026-11-20T08:15:00.000000Z",
        "t@odata.type": "Edm.DateTime",
        "yes": True,
        "f": 0.5,
        "f@odata.type": "Edm.Double",
    }


async def test_cosmos_gets_its_writes_from_the_sdk() -> None:
    class CosmosClient:
        _cosmos_endpoint = True

        async def submit_transaction(self, operations: Any) -> list[dict[str, str]]:
            return [{"etag": "1"} for _ in operations]

    client: Any = CosmosClient()
    assert await send_batch(UNUSED, client, [creating(dict(ROW)), deleting("p", "k")]) == ["1", "1"]
    assert await send_write(UNUSED, client, creating(dict(ROW))) == "1"


class Stranger:
    """Signs with a name that the service does not know."""

    async def headers(self, verb: str, path: str, content_type: str) -> dict[str, str]:
        return {"Authorization": "stranger"}


async def test_a_service_that_does_not_take_our_word_is_asked_through_the_sdk() -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"].split()[0])
        if seen[-1] == "stranger":
            return web.Response(status=401)
        return web.Response(status=204, headers={"ETag": "W/1"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server, ClientSession() as session:

        async def give_session() -> ClientSession:
            return session

        key = AzureNamedKeyCredential("account", "a2V5")
        url = f"http://127.0.0.1:{server.port}/account"
        async with TableServiceClient(url, credential=key) as service:
            client = service.get_table_client("rows")
            etag = await send_write(Connection(give_session, Stranger()), client, creating(dict(ROW)))
    assert (etag, seen) == ("W/1", ["stranger", "SharedKey"])
