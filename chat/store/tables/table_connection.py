"""Requests to the tables of one account: signed by us over a session that is shared, or by the SDK's pipeline.

The pipeline costs more than the request itself (docs/decisions/0003, 0021).
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from aiohttp import ClientSession, ClientTimeout
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables.aio import TableClient
from yarl import URL

from chat.store.tables.table_clock import ServiceClock
from chat.store.tables.table_signing import Signer

VERSION = {"x-ms-version": "2019-02-02", "DataServiceVersion": "3.0", "MaxDataServiceVersion": "3.0;NetFx"}


class Refused(HttpResponseError):
    """The service refused a request; of a batch, the status and the text are those of the operation at fault."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(body.decode("utf-8", "replace") or f"status {status}")
        self.status_code = status


@dataclass(frozen=True, slots=True)
class Reply:
    """What the service said. The headers' names are found whatever their case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connection:
    """Sends requests of one account: signed by us over a session that is shared, and by the SDK's pipeline where the
    service does not take our word (an identity of another tenant), or the account is none of Azure Storage."""

    def __init__(self, session: Callable[[], Awaitable[ClientSession]], signer: Signer | None) -> None:
        self._session = session
        self._signer = signer
        self.clock = ServiceClock()

    async def send(
        self,
        client: TableClient,
        verb: str,
        url: str,
        headers: Mapping[str, str],
        content: str | None = None,
        *,
        read_timeout: float | None = None,
    ) -> Reply:
        """The reply, whatever its status. What aiohttp and the SDK raise, when none came or not all of it.
        `read_timeout` is for a reply that may take longer than others: seconds without a byte."""
        reply = await self._sent(client, verb, url, VERSION | dict(headers), content, read_timeout)
        self.clock.note(reply.headers.get("Date", ""))
        return reply

    async def _sent(
        self,
        client: TableClient,
        verb: str,
        url: str,
        headers: dict[str, str],
        content: str | None,
        read_timeout: float | None,
    ) -> Reply:
        if self._signer is not None and not is_cosmos(client):
            target = URL(url, encoded=True)  # sent as it is signed
            signed = await self._signer.headers(verb, target.raw_path, headers.get("Content-Type", ""))
            session = await self._session()
            async with session.request(
                verb,
                target,
                data=content if content is None else content.encode(),
                headers={**headers, **signed},
                timeout=_longer(session.timeout, read_timeout),
                allow_redirects=False,
            ) as reply:
                if reply.status != 401:
                    return Reply(reply.status, reply.headers, await reply.read())
        request = HttpRequest(verb, url, headers=headers, content=content)
        return await _send_by_pipeline(client, request, read_timeout)


def _longer(usual: ClientTimeout, read_timeout: float | None) -> ClientTimeout:
    if read_timeout is None:
        return usual
    return ClientTimeout(sock_connect=usual.sock_connect, sock_read=read_timeout)


def row_address(partition: str, key: str) -> str:
    """What stands behind the URL of a table in the URL of a row."""
    names = (quote(each.replace("'", "''"), safe="") for each in (partition, key))
    return "(PartitionKey='{}',RowKey='{}')".format(*names)


def account_url(client: TableClient) -> str:
    return client.url.partition("?")[0]  # a shared access signature is added by the pipeline


def url_of(client: TableClient) -> str:
    """The URL of the client's table."""
    return f"{account_url(client)}/{client.table_name}"


# The two private doors of the SDK's client that are used; the package is pinned.
def is_cosmos(client: TableClient) -> bool:
    return client._cosmos_endpoint  # pyright: ignore[reportPrivateUsage]


async def _send_by_pipeline(client: TableClient, request: HttpRequest, read_timeout: float | None) -> Reply:
    """As a stream, since the pipeline tries to decode what is not."""
    options = {} if read_timeout is None else {"read_timeout": read_timeout}
    send = client._client.send_request  # pyright: ignore[reportPrivateUsage]
    response = await send(request, stream=True, **options)
    return Reply(response.status_code, response.headers, await response.read())
