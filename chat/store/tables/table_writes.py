"""Writes to a table, single and in entity group transactions, put together and read as bytes.

The SDK builds and parses a batch with `email`, which costs 3.1 ms of processor time for five rows, and a single write
with a general serializer, and sends both through a pipeline of a dozen policies; this costs a quarter of it
(docs/decisions/0003).
Source: https://learn.microsoft.com/rest/api/storageservices/performing-entity-group-transactions (2019-02-02).
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from azure.data.tables import EdmType, UpdateMode
from azure.data.tables.aio import TableClient

from chat.store.tables.table_connection import (
    Connection,
    Refused,
    account_url,
    is_cosmos,
    row_address,
    url_of,
)
from chat.store.tables.table_limits import REQUEST_BYTES
from chat.store.tables.table_properties import Entity, Value

type Operation = tuple[Literal["create", "update", "upsert", "delete"], Entity, Mapping[str, Any]]
"""As `TableClient.submit_transaction` takes them; the options may have `mode` and `etag`."""

VERBS = {"create": "POST", "upsert": "PUT", "delete": "DELETE"}
UPDATES = {UpdateMode.MERGE: "PATCH", UpdateMode.REPLACE: "PUT"}
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


async def send_write(connection: Connection, client: TableClient, operation: Operation) -> str:
    """Write one row; its new etag, "" for a deleted one. Refused, and what aiohttp and the SDK raise."""
    if is_cosmos(client):
        return (await _sent_by_sdk(client, [operation]))[0]
    verb, url, headers, content = _request(url_of(client), operation)
    reply = await connection.send(client, verb, url, headers, content)
    if reply.status >= 300:
        raise Refused(reply.status, reply.body)
    return reply.headers.get("ETag", "")


async def send_batch(
    connection: Connection, client: TableClient, operations: Sequence[Operation]
) -> list[str]:
    """Write rows of one partition, all or none; the new etags, "" for deleted ones. Raises as `send_write`."""
    if is_cosmos(client):
        return await _sent_by_sdk(client, operations)
    boundary = uuid4().hex
    kind = {"Accept": "application/json", "Content-Type": f"multipart/mixed; boundary=batch_{boundary}"}
    content = write_batch(url_of(client), boundary, operations)
    if len(content) > REQUEST_BYTES:
        raise Refused(413, b"The batch is larger than the service takes")
    reply = await connection.send(client, "POST", account_url(client) + "/$batch", kind, content)
    if reply.status != 202:
        raise Refused(reply.status, reply.body)
    return read_batch(reply.body)


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
    """The etags of a batch's reply, in order. Refused for the operation that failed: then nothing was done."""
    statuses = [int(status) for status in STATUS.findall(body)]
    failed = next((status for status in statuses if status >= 300), None)
    if failed is not None or not statuses:
        raise Refused(failed or 502, body)
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
    keys = str(entity["PartitionKey"]), str(entity["RowKey"])
    url = table_url if kind == "create" else table_url + row_address(*keys)
    etag = options.get("etag") or ("*" if kind in {"update", "delete"} else "")
    headers = {**ROW_HEADERS, "If-Match": etag} if etag else ROW_HEADERS
    return verb, url, headers, "" if kind == "delete" else json.dumps(typed(entity))


async def _sent_by_sdk(client: TableClient, operations: Sequence[Operation]) -> list[str]:
    """Cosmos wants PATCH sent as POST, which the SDK does inside its own batches."""
    return [str(reply.get("etag", "")) for reply in await client.submit_transaction(operations)]
