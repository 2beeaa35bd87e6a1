"""Writes to a table, single and in entity group transactions, put together and read as bytes.

The SDK builds and parses a batch with `email`, which costs 3.1 ms of processor time for five rows, and a single write
with a general serializer, and sends both through a pipeline of a dozen policies; this costs a quarter of it
(docs/decisions/0003).
Source: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions (2019-02-02).
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

from aiohttp import ClientSession
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from azure.data.tables import EdmType, UpdateMode
from azure.data.tables.aio import TableClient
from yarl import URL

from chat.store.tables.table_limits import REQUEST_BYTES
from chat.store.tables.table_properties import Entity, Value
from chat.store.tables.table_signing import Signer

type Operation = tuple[Literal["create", "update", "upsert", "delete"], Entity, Mapping[str, Any]]
"""As `TableClient.submit_transaction` takes them; the options may have `mode` and `etag`."""

VERBS = {"create": "POST", "upsert": "PUT", "delete": "DELETE"}
UPDATES = {UpdateMode.MERGE: "PATCH", UpdateMode.REPLACE: "PUT"}
VERSION = {"x-ms-version": "2019-02-02", "DataServiceVersion": "3.0", "MaxDataServiceVersion": "3.0;NetFx"}
ROW_HEADERS = {
    "Accept": "application/json;odata=minimalmetadata",
    "Content-Type": "application/json",
    "DataServiceVersion": "3.0",
    "Prefer": "return-no-content",
}
PART = (
    "--%s\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: %d\r\n\r\n"
    "%s %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s\r\n"
)
STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)
ETAG = re.compile(rb"^ETag: *(.*?)\r?$", re.MULTILINE | re.IGNORECASE)


class WriteRefused(HttpResponseError):
    """The service refused a write; of a batch, the status and the text are those of the operation at fault."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(body.decode("utf-8", "replace") or f"status {status}")
        self.status_code = status


class Connection:
    """Sends requests of one account: signed by us over a session that is shared, and by the SDK's pipeline where the
    service does not take our word (an identity of another tenant), or the account is none of Azure Storage."""

    def __init__(self, session: Callable[[], Awaitable[ClientSession]], signer: Signer | None) -> None:
        self._session = session
        self._signer = signer

    async def send(
        self, client: TableClient, verb: str, url: str, headers: Mapping[str, str], content: str
    ) -> tuple[int, str, bytes]:
        """Status, etag and body of the reply."""
        headers = {**VERSION, **headers}
        if self._signer is not None:
            target = URL(url, encoded=True)  # sent as it is signed
            signed = await self._signer.headers(verb, target.raw_path, headers["Content-Type"])
            session = await self._session()
            async with session.request(
                verb, target, data=content.encode(), headers={**headers, **signed}
            ) as reply:
                if reply.status != 401:
                    return reply.status, reply.headers.get("ETag", ""), await reply.read()
        return await _send_by_pipeline(client, HttpRequest(verb, url, headers=headers, content=content))


async def send_write(connection: Connection, client: TableClient, operation: Operation) -> str:
    """Write one row; its new etag, "" for a deleted one. WriteRefused, and what aiohttp and the SDK raise."""
    if _is_cosmos(client):
        return (await _sent_by_sdk(client, [operation]))[0]
    verb, url, headers, content = _request(_table_url(client), operation)
    status, etag, body = await connection.send(client, verb, url, headers, content)
    if status >= 300:
        raise WriteRefused(status, body)
    return etag


async def send_batch(
    connection: Connection, client: TableClient, operations: Sequence[Operation]
) -> list[str]:
    """Write rows of one partition, all or none; the new etags, "" for deleted ones. Raises as `send_write`."""
    if _is_cosmos(client):
        return await _sent_by_sdk(client, operations)
    boundary = uuid4().hex
    kind = {"Accept": "application/json", "Content-Type": f"multipart/mixed; boundary=batch_{boundary}"}
    content = write_batch(_table_url(client), boundary, operations)
    if len(content) > REQUEST_BYTES:
        raise WriteRefused(413, b"The batch is larger than the service takes")
    status, _, body = await connection.send(client, "POST", _account_url(client) + "/$batch", kind, content)
    if status != 202:
        raise WriteRefused(status, body)
    return read_batch(body)


def write_batch(table_url: str, boundary: str, operations: Sequence[Operation]) -> str:
    """The body of a batch request. ASCII: Azurite counts characters where the header counts bytes."""
    parts: list[str] = []
    for index, operation in enumerate(operations):
        verb, url, headers, content = _request(table_url, operation)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        parts.append(PART % (f"changeset_{boundary}", index, verb, url, lines, len(content), content))
    head = f"--batch_{boundary}\r\nContent-Type: multipart/mixed; boundary=changeset_{boundary}\r\n\r\n"
    return f"{head}{''.join(parts)}--changeset_{boundary}--\r\n--batch_{boundary}--\r\n"


def read_batch(body: bytes) -> list[str]:
    """The etags of a batch's reply, in order. WriteRefused for the operation that failed: then nothing was done."""
    statuses = [int(status) for status in STATUS.findall(body)]
    failed = next((status for status in statuses if status >= 300), None)
    if failed is not None or not statuses:
        raise WriteRefused(failed or 502, body)
    replies = re.split(STATUS, body)[2::2]
    return [found[1].decode() if (found := ETAG.search(reply)) else "" for reply in replies]


def typed(entity: Entity) -> dict[str, object]:
    """An entity as JSON, with the types that JSON lacks."""
    shown: dict[str, object] = {}
    for name, value in entity.items():
        kind, shown[name] = _typed(value)
        if kind is not None:
            shown[name + "@odata.type"] = kind
    return shown


def _typed(value: Value) -> tuple[str | None, object]:
    match value:
        case bytes():
            return EdmType.BINARY.value, base64.b64encode(value).decode()
        case datetime():
            return EdmType.DATETIME.value, value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case (number, kind):
            return EdmType(kind).value, str(number)
        case float():
            return EdmType.DOUBLE.value, value
        case _:
            return None, value


def _request(table_url: str, operation: Operation) -> tuple[str, str, Mapping[str, str], str]:
    """Verb, URL, headers and body of one write."""
    kind, entity, options = operation
    verb = UPDATES[options["mode"]] if kind == "update" else VERBS[kind]
    url = table_url if kind == "create" else table_url + _address(entity)
    etag = options.get("etag") or ("*" if kind in {"update", "delete"} else "")
    headers = {**ROW_HEADERS, "If-Match": etag} if etag else ROW_HEADERS
    return verb, url, headers, "" if kind == "delete" else json.dumps(typed(entity))


def _address(entity: Entity) -> str:
    partition, row = (
        quote(str(entity[key]).replace("'", "''"), safe="") for key in ("PartitionKey", "RowKey")
    )
    return f"(PartitionKey='{partition}',RowKey='{row}')"


def _account_url(client: TableClient) -> str:
    return client.url.partition("?")[0]  # a shared access signature is added by the pipeline


def _table_url(client: TableClient) -> str:
    return f"{_account_url(client)}/{client.table_name}"


# The two private doors of the SDK's client that are used; the package is pinned.
def _is_cosmos(client: TableClient) -> bool:
    return client._cosmos_endpoint  # pyright: ignore[reportPrivateUsage]


async def _send_by_pipeline(client: TableClient, request: HttpRequest) -> tuple[int, str, bytes]:
    """As a stream, since the pipeline tries to decode what is not."""
    response = await client._client.send_request(request, stream=True)  # pyright: ignore[reportPrivateUsage]
    return response.status_code, response.headers.get("ETag", ""), await response.read()


async def _sent_by_sdk(client: TableClient, operations: Sequence[Operation]) -> list[str]:
    """Cosmos wants PATCH sent as POST, which the SDK does inside its own batches."""
    return [str(reply.get("etag", "")) for reply in await client.submit_transaction(operations)]
