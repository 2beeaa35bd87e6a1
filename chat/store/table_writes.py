"""Writes to a table, single and in entity group transactions, put together and read as bytes.

The SDK builds and parses a batch with `email`, which costs 3.1 ms of processor time for five rows, and a single write
with a general serializer, 0.75 ms; this costs 0.7 and 0.45 ms (docs/decisions/0003). The SDK's pipeline still signs
and sends the requests.
Source: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions (2019-02-02).
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

from azure.core.exceptions import HttpResponseError
from azure.core.rest import AsyncHttpResponse, HttpRequest
from azure.data.tables import EdmType, UpdateMode
from azure.data.tables.aio import TableClient

from chat.store.table_properties import Entity, Value

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


async def send_write(client: TableClient, operation: Operation) -> str:
    """Write one row; its new etag, "" for a deleted one. WriteRefused, and what the SDK raises."""
    if _is_cosmos(client):
        return (await _sent_by_sdk(client, [operation]))[0]
    verb, url, headers, content = _request(_table_url(client), operation)
    response = await _send(client, HttpRequest(verb, url, headers={**VERSION, **headers}, content=content))
    if response.status_code >= 300:
        raise WriteRefused(response.status_code, response.content)
    return response.headers.get("ETag", "")


async def send_batch(client: TableClient, operations: Sequence[Operation]) -> list[str]:
    """Write rows of one partition, all or none; the new etags, "" for deleted ones. Raises as `send_write`."""
    if _is_cosmos(client):
        return await _sent_by_sdk(client, operations)
    boundary = uuid4().hex
    kind = {"Accept": "application/json", "Content-Type": f"multipart/mixed; boundary=batch_{boundary}"}
    content = write_batch(_table_url(client), boundary, operations)
    url = _account_url(client) + "/$batch"
    response = await _send(client, HttpRequest("POST", url, headers={**VERSION, **kind}, content=content))
    if response.status_code != 202:
        raise WriteRefused(response.status_code, response.content)
    return read_batch(response.content)


def write_batch(table_url: str, boundary: str, operations: Sequence[Operation]) -> bytes:
    """The body of a batch request. ASCII: Azurite counts characters where the header counts bytes."""
    parts: list[str] = []
    for index, operation in enumerate(operations):
        verb, url, headers, content = _request(table_url, operation)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        parts.append(PART % (f"changeset_{boundary}", index, verb, url, lines, len(content), content))
    head = f"--batch_{boundary}\r\nContent-Type: multipart/mixed; boundary=changeset_{boundary}\r\n\r\n"
    return f"{head}{''.join(parts)}--changeset_{boundary}--\r\n--batch_{boundary}--\r\n".encode()


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


async def _send(client: TableClient, request: HttpRequest) -> AsyncHttpResponse:
    """The reply, read whole; as a stream, since the pipeline tries to decode what is not."""
    response = await client._client.send_request(request, stream=True)  # pyright: ignore[reportPrivateUsage]
    await response.read()
    return response


async def _sent_by_sdk(client: TableClient, operations: Sequence[Operation]) -> list[str]:
    """Cosmos wants PATCH sent as POST, which the SDK does inside its own batches."""
    return [str(reply.get("etag", "")) for reply in await client.submit_transaction(operations)]
