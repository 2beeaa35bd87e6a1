"""The connection to the storage account: clients for the tables, over one pool, made when first needed."""

import asyncio
import logging
import re
from collections.abc import Mapping
from contextvars import Context
from typing import Any

import aiohttp
from azure.core.pipeline import policies
from azure.core.pipeline.transport import AioHttpTransport
from azure.data.tables.aio import TableServiceClient

from chat.errors import StoreUnavailable
from chat.settings import SettingsError
from chat.store.tables.table_client import Table
from chat.store.tables.table_clock import ServiceClock
from chat.store.tables.table_connection import Connection
from chat.store.tables.table_errors import RowExists, TableMissing, translated
from chat.store.tables.table_signing import signer_for

CONNECT_TIMEOUT = READ_TIMEOUT = 2.0
TABLE_PREFIX = re.compile("[A-Za-z][A-Za-z0-9]{0,50}")
NAMES = ("sessions", "directory", "usage", "instances", "audit", "credentials", "limits")

UNUSED_POLICIES = (
    policies.RequestIdPolicy,
    policies.ProxyPolicy,
    policies.AsyncRedirectPolicy,
    policies.NetworkTraceLoggingPolicy,
    policies.HttpLoggingPolicy,
)
"""What the SDK does to every request and nobody here needs: a quarter of what a request costs."""

REQUEST_LOG = "azure.core.pipeline.policies.http_logging_policy"


class PooledTransport(AioHttpTransport):
    """The SDK's transport over a session of ours, which is made in the event loop that first asks."""

    async def opened_session(self) -> aiohttp.ClientSession:
        """The session, for requests that go without the SDK. ServiceRequestError when it was closed."""
        await self.open()
        assert self.session is not None
        return self.session

    async def open(self) -> None:
        if not self.session and not self._has_been_opened:
            # trust_env costs a file access and a thread for each request. No limit: the tables are asked by
            # hundreds of turns at once, and a queue for connections would look like a slow service.
            self.session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT),
            )
        await super().open()


class TableService:
    """The tables of one store: one connection pool, one event loop. Nothing is sent before the first call."""

    def __init__(self, values: Mapping[str, str], prefix: str) -> None:
        """`values` as `chat.settings.storage_values` gives them. SettingsError when they name no account, or the
        prefix cannot begin the name of a table."""
        endpoint = values.get("") or _endpoint(values)
        if not TABLE_PREFIX.fullmatch(prefix):
            raise SettingsError(f"CHAT_TABLE_PREFIX: {prefix!r} cannot begin the name of a table")
        # The root logger of a function app is at INFO; there the SDK would log every request with all its headers.
        logging.getLogger(REQUEST_LOG).setLevel(logging.WARNING)
        self._credential: Any = None
        self._transport = PooledTransport(connection_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT)
        self._client = self._connect(endpoint, values)
        _trim(self._client)
        self._connection = Connection(self._transport.opened_session, signer_for(self._client.credential))
        self._prefix = prefix
        self._making: asyncio.Task[None] | None = None
        self._ready = False
        tables = {name: self._table(name) for name in NAMES}
        self.sessions, self.directory = tables["sessions"], tables["directory"]
        self.usage, self.instances = tables["usage"], tables["instances"]
        self.audit, self.credentials, self.limits = tables["audit"], tables["credentials"], tables["limits"]

    @property
    def url(self) -> str:
        """Where the account's tables are."""
        return self._client.url.rstrip("/?")

    @property
    def clock(self) -> ServiceClock:
        """Its own clock."""
        return self._connection.clock

    async def ping(self) -> None:
        """StoreUnavailable when the service does not answer within 2 s."""
        with translated():
            async with asyncio.timeout(READ_TIMEOUT):
                tables = self._client.query_tables(f"TableName eq '{self._prefix}sessions'").by_page()
                async for _ in tables:
                    return

    async def aclose(self) -> None:
        """Close the pool. Idempotent."""
        await self._client.close()
        if self._credential is not None:
            await self._credential.close()

    def _connect(self, endpoint: str, values: Mapping[str, str]) -> TableServiceClient:
        options: dict[str, Any] = {
            "transport": self._transport,
            "retry_total": 0,  # the SDK's own retries go on for 75 s and more; ours are in `Table`
        }
        if values.get(""):
            try:
                return TableServiceClient.from_connection_string(endpoint, **options)
            except ValueError as error:
                raise SettingsError(
                    "CHAT_STORAGE: the connection string that it names cannot be read"
                ) from error
        self._credential = _identity(values.get("clientId", ""))
        return TableServiceClient(endpoint, credential=self._credential, **options)

    def _table(self, name: str) -> Table:
        return Table(self._client.get_table_client(self._prefix + name), self._connection, self._prepare)

    async def _prepare(self, again: bool) -> None:
        """Make the tables. All who wait for them share one try, so that none waits for those before it."""
        if self._ready and not again:
            return
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make_tables(), context=Context())
        await asyncio.shield(self._making)

    async def _make_tables(self) -> None:
        outcomes = await asyncio.gather(*map(self._make_table, NAMES), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._ready = True

    async def _make_table(self, name: str) -> None:
        try:
            with translated():
                await self._client.create_table(self._prefix + name)
        except TableMissing:
            raise StoreUnavailable from None  # it is being deleted
        except RowExists:
            return


def _trim(client: TableServiceClient) -> None:
    """Shorten the pipeline that the clients of the tables will get."""
    client._policies = [  # pyright: ignore[reportPrivateUsage]  # the SDK takes a list of policies nowhere else
        each
        for each in client._policies  # pyright: ignore[reportPrivateUsage]
        if not isinstance(each, UNUSED_POLICIES)
    ]


def _endpoint(values: Mapping[str, str]) -> str:
    if values.get("tableServiceUri"):
        return values["tableServiceUri"]
    if values.get("accountName"):
        return f"https://{values['accountName']}.table.core.windows.net"
    raise SettingsError(
        "CHAT_STORAGE: what it names needs a connection string, __tableServiceUri or __accountName"
    )


def _identity(client_id: str) -> Any:
    # Imported here: azure-identity costs 0.3 s, and a connection string does without it.
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential(managed_identity_client_id=client_id or None)
