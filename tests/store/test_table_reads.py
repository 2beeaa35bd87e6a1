"""Reads past the SDK: what it reads from Azurite, and how it fails, is what we read, and how we fail."""

import asyncio
import string
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, web
from aiohttp.test_utils import TestServer
from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.data.tables import TableEntity
from azure.data.tables.aio import TableClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.errors import ChatError, StoreError, StoreUnavailable
from chat.store.tables.table_client import Table, quoted
from chat.store.tables.table_connection import Connection
from chat.store.tables.table_errors import translated
from chat.store.tables.table_limits import can_be_key
from chat.store.tables.table_reads import Query, Row, Token, read_page, read_row, row_from_json
from chat.store.tables.table_signing import Signer, signer_for
from tests.store.conftest import OpenStorage
from tests.support.azurite import Azurite, connection_string
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(can_be_key)
moments = st.datetimes(datetime(1601, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))
kinds = (
    st.text(max_size=50)  # with halves of characters too
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.tuples(st.integers(-(2**63), 2**63 - 1), st.just("Edm.Int64"))
    | st.floats(allow_nan=False)
    | st.binary(max_size=50)
    | st.uuids()
    | moments
)
fields = st.dictionaries(st.text(string.ascii_letters, min_size=1, max_size=9), kinds, max_size=6)

ODD_KEYS = [
    "it's",
    "''",
    "100%",
    "%27",
    "a b+c",
    "&$filter=x",
    "é",
    "语言",
    "\U0001f600",
    "=,;:@()*!~",
    ".",
    "{url}",
]
ENTITY = b'{"PartitionKey":"p","RowKey":"k","Timestamp":"2026-11-20T08:15:00Z"}'
KEY = AzureNamedKeyCredential("account", "a2V5")
SAS = AzureSasCredential("sv=2019-02-02&sig=s%2Fs")


@pytest.fixture
async def table(open_storage: OpenStorage) -> Table:
    opened = open_storage().service.instances
    await opened.get("p", "k")  # makes the tables
    return opened


@pytest.fixture
async def sdk(azurite: Azurite, prefix: str) -> AsyncGenerator[TableClient]:
    async with TableClient.from_connection_string(azurite.connection_string, f"{prefix}instances") as client:
        yield client


def same(row: Row, entity: TableEntity) -> bool:
    metadata = entity.metadata
    known = (dict(entity), metadata["etag"], metadata["timestamp"])
    return (dict(row.values), row.etag, row.timestamp) == known


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys, keys, fields)
async def test_a_row_is_read_as_the_sdk_reads_it(
    table: Table, sdk: TableClient, partition: str, key: str, values: dict[str, Any]
) -> None:
    await sdk.upsert_entity({**values, "PartitionKey": partition, "RowKey": key}, mode="replace")
    entity = await sdk.get_entity(partition, key)
    row = await table.get(partition, key)
    assert row is not None and same(row, entity)
    query = f"PartitionKey eq {quoted(partition)} and RowKey eq {quoted(key)}"
    [found] = await table.rows(query)
    assert same(found, entity)


@pytest.mark.parametrize("key", ODD_KEYS)
async def test_a_key_is_escaped(table: Table, key: str) -> None:
    await table.create({"PartitionKey": key, "RowKey": key})
    row = await table.get(key, key)
    assert row is not None and (row.partition, row.key) == (key, key)
    assert await table.get(key, key + "x") is None
    assert [each.key for each in await table.rows(f"RowKey eq {quoted(key)}")] == [key]


@pytest.mark.parametrize("key", ["a/b", "a\\b", "a#b", "a?b", "a\nb", "\ud800", "x" * 513])
async def test_a_key_that_no_row_can_have_is_not_there(table: Table, key: str) -> None:
    assert await table.get("p", key) is None
    assert await table.get(key, "k") is None


async def test_values_are_plain_moments_in_utc_and_pairs(table: Table) -> None:
    moment = datetime(2026, 11, 20, 8, 15, 0, 123456, UTC)
    await table.create({"PartitionKey": "p", "RowKey": "k", "at": moment, "n": (2**40, "Edm.Int64")})
    row = await table.get("p", "k")
    assert row is not None
    assert (type(row.values["at"]), row.values["at"], row.values["at"].tzinfo) == (datetime, moment, UTC)
    assert row.values["n"] == (2**40, "Edm.Int64")
    assert 0 <= row.age < 5


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [("", 0), (".5", 500_000), (".123456", 123_456), (".1234567", 123_456), (".1234569", 123_456)],
)
def test_a_moment_may_have_any_number_of_digits(text: str, microsecond: int) -> None:
    row = row_from_json({"Timestamp": f"2026-11-20T08:15:00{text}Z"}, "")
    assert row.timestamp == datetime(2026, 11, 20, 8, 15, 0, microsecond, UTC)
    assert row.etag == f"W/\"datetime'2026-11-20T08%3A15%3A00{text}Z'\""
    assert (row.values, row.age) == ({}, 0.0)


def test_a_property_that_a_row_lacks_may_be_named_without_a_value() -> None:
    shown = {"odata.etag": "1", "x": None, "at@odata.type": "Edm.DateTime", "at": None, "n@odata.type": "New"}
    assert row_from_json(shown | {"n": 1}, "").values == {"x": None, "at": None, "n": 1}


async def filled(table: Table) -> None:
    for number in range(8):
        await table.create({"PartitionKey": "it's 100%", "RowKey": f"语 {number}", "n": number, "s": "x"})


async def test_pages_are_those_of_the_sdk(table: Table, sdk: TableClient) -> None:
    await filled(table)
    query = f"PartitionKey eq {quoted("it's 100%")} and n ge 1"
    theirs = [
        [entity async for entity in page]
        async for page in sdk.query_entities(query, results_per_page=3).by_page()
    ]
    ours = [page async for page in table.pages(query, top=3)]
    assert [len(page) for page in ours] == [3, 3, 1]
    for page, entities in zip(ours, theirs, strict=True):
        assert all(same(row, entity) for row, entity in zip(page, entities, strict=True))


@pytest.mark.parametrize("select", [("n",), ("PartitionKey", "RowKey"), ("RowKey", "n", "nothing")])
async def test_what_is_chosen_is_what_the_sdk_chooses(
    table: Table, sdk: TableClient, select: tuple[str, ...]
) -> None:
    await filled(table)
    theirs = [dict(each) async for each in sdk.query_entities("n lt 4", select=list(select))]
    assert theirs
    assert [dict(row.values) for row in await table.rows("n lt 4", select=select)] == theirs


@pytest.fixture
async def proxy(azurite: Azurite) -> AsyncGenerator[FaultyProxy]:
    async with faulty_proxy(azurite.port) as running:
        yield running


@pytest.mark.parametrize("fault", ["lose_reply", "tear_reply"])
async def test_a_read_whose_reply_was_lost_or_torn_is_asked_again(
    proxy: FaultyProxy, open_storage: OpenStorage, fault: str
) -> None:
    table = open_storage(connection_string(proxy.port)).service.instances
    await table.create({"PartitionKey": "p", "RowKey": "k", "text": "x" * 30_000})
    getattr(proxy, fault)(b"GET", times=2)
    row, rows = await asyncio.gather(table.get("p", "k"), table.rows("PartitionKey eq 'p'"))
    assert row is not None
    assert [(each.values, each.etag) for each in rows] == [(row.values, row.etag)]
    assert proxy.lost == 2


class Service:
    """Answers every request alike, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, ENTITY
        self.headers: dict[str, str] = {}
        self.slow = 0.0
        self.strangers = False  # a request that the SDK did not sign is a 401
        self.asked: list[web.Request] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        if self.strangers and request.headers.get("Authorization") == "stranger":
            return web.Response(status=401)
        await asyncio.sleep(self.slow)
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def url(service: Service) -> AsyncGenerator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", service.answer)
    async with TestServer(app) as server:
        yield f"http://127.0.0.1:{server.port}/account"


class Asking:
    """One client of the SDK, and our way past it."""

    def __init__(self, client: TableClient, session: ClientSession, signer: Signer | None) -> None:
        self.client = client
        self._session = session
        self._connection = Connection(self._opened, signer)

    async def _opened(self) -> ClientSession:
        return self._session

    async def row(self) -> Row:
        return await read_row(self._connection, self.client, "p", "it's 100%é")

    async def page(self, token: Token, **options: Any) -> tuple[list[Row], Token]:
        return await read_page(
            self._connection, self.client, Query("a eq 'b'", ("c", "d"), 5), token, **options
        )


@pytest.fixture
async def opened() -> AsyncGenerator[Any]:
    clients: list[TableClient] = []
    timeout = ClientTimeout(sock_read=0.2)
    async with ClientSession(timeout=timeout, cookie_jar=DummyCookieJar(), auto_decompress=False) as session:

        def open_client(url: str, credential: Any = KEY, signer: Signer | None = None) -> Asking:
            clients.append(TableClient(url, "rows", credential=credential, retry_total=0, read_timeout=0.2))
            return Asking(clients[-1], session, signer or signer_for(credential))

        yield open_client
    for client in clients:
        await client.close()


async def test_where_the_next_page_begins_is_sent_back_as_it_came(
    service: Service, url: str, opened: Any
) -> None:
    service.body = b'{"value":[]}'
    told = {"NextPartitionKey": "1!8!cA--%2F+&=", "NextRowKey": "1!4!aw=="}
    service.headers = {f"x-ms-continuation-{name}": value for name, value in told.items()}
    asking = opened(url)
    assert await asking.page({}) == ([], told)
    service.headers = {}
    assert await asking.page(told) == ([], {})
    asked = {"$filter": "a eq 'b'", "$select": "c,d", "$top": "5"}
    assert [dict(each.query) for each in service.asked] == [asked, asked | told]
    assert {each.headers["Accept-Encoding"] for each in service.asked} == {"identity"}


def refusal(code: str) -> bytes:
    return b'{"odata.error":{"code":"%s","message":{"lang":"en-US","value":"No."}}}' % code.encode()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((status, refusal("OperationTimedOut")) for status in (400, 408, 429, 500, 502, 503, 504)),
        *((status, b"<html>no</html>") for status in (404, 408, 429, 500, 502, 503, 504)),
        *((status, b"") for status in (400, 401, 403, 404, 500)),
        (401, refusal("InvalidAuthenticationInfo")),
        (403, refusal("AuthenticationFailed")),
        (403, refusal("AuthorizationFailure")),
        (404, refusal("ResourceNotFound")),
        (404, refusal("TableNotFound")),
        (409, refusal("TableBeingDeleted")),
    ],
)
async def test_a_refusal_is_the_failure_that_it_is_for_the_sdk(
    service: Service, url: str, opened: Any, status: int, body: bytes
) -> None:
    service.status, service.body = status, body
    service.headers = {"Content-Type": "application/json"}
    asking = opened(url)
    theirs = await failure(asking.client.get_entity("p", "it's"))
    assert await failure(asking.row()) is theirs
    assert await failure(asking.page({})) is theirs


async def test_where_a_reply_leads_nobody_goes(service: Service, url: str, opened: Any) -> None:
    service.status, service.headers = 302, {"Location": url}
    assert await failure(opened(url).row()) is StoreError
    assert len(service.asked) == 1


async def failure(reading: Any) -> type[ChatError]:
    with pytest.raises(ChatError) as failed, translated():
        await reading
    return failed.type


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        ENTITY[:-3],
        b"[]",
        b"1",
        b'{"Timestamp":"yesterday"}',
        b'{"Timestamp":1}',
        b'{"b@odata.type":"Edm.Binary","b":"secret!"}',
        b'{"n@odata.type":"Edm.Int64","n":"secret"}',
    ],
)
async def test_what_is_no_row_is_asked_again_and_not_shown_in_the_log(
    service: Service, url: str, opened: Any, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    service.body = body
    assert await failure(opened(url).row()) is StoreUnavailable
    assert await failure(opened(url).page({})) is StoreUnavailable
    assert "secret" not in caplog.text


@pytest.mark.parametrize("credential", [KEY, SAS])
async def test_a_page_that_takes_its_time_is_waited_for_where_that_is_wanted(
    service: Service, url: str, opened: Any, credential: Any
) -> None:
    service.slow, service.body = 0.5, b'{"value":[' + ENTITY + b"]}"
    asking = opened(url, credential)
    assert await failure(asking.page({})) is StoreUnavailable
    [row], _ = await asking.page({}, read_timeout=5.0)
    assert row.key == "k"


class Stranger:
    """Signs with a name that the service does not know."""

    async def headers(self, verb: str, path: str, content_type: str) -> Mapping[str, str]:
        return {"Authorization": "stranger"}


@pytest.mark.parametrize(
    ("credential", "signer", "host", "requests"),
    [
        (KEY, None, "127.0.0.1", 2),
        (SAS, None, "127.0.0.1", 2),
        (KEY, Stranger(), "127.0.0.1", 4),
        (KEY, Stranger(), "localhost", 2),  # which the SDK takes for the emulator of Cosmos
    ],
)
async def test_what_we_cannot_sign_goes_through_the_sdk(
    service: Service, url: str, opened: Any, credential: Any, signer: Signer | None, host: str, requests: int
) -> None:
    service.strangers = True
    service.headers = {"Date": "Fri, 20 Nov 2026 08:15:07 GMT"}
    asking = opened(url.replace("127.0.0.1", host), credential, signer)
    row = await asking.row()
    service.body = b'{"value":[' + ENTITY + b"]}"
    assert (await asking.page({}))[0] == [row]
    assert (row.values, row.age) == ({"PartitionKey": "p", "RowKey": "k"}, 7.0)
    assert len(service.asked) == requests
    names = {each.path for each in service.asked}
    assert names == {"/account/rows(PartitionKey='p',RowKey='it''s 100%é')", "/account/rows()"}
    assert {each.query.get("sig") for each in service.asked} == {"s/s" if credential is SAS else None}
    assert {each.query.get("$filter") for each in service.asked} == {None, "a eq 'b'"}
