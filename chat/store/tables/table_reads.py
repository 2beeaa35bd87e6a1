"""Reads of single rows and of pages of a query, asked for and parsed without the SDK, which takes several times as long
for the same (docs/decisions/0022).

Source: https://learn.microsoft.com/rest/api/storageservices/query-entities (2019-02-02, JSON with minimal metadata),
https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination.
"""

from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from azure.core.exceptions import ClientAuthenticationError, DecodeError, HttpResponseError
from azure.data.tables.aio import TableClient

from chat.store.tables.table_connection import Connection, Refused, Reply, row_address, url_of
from chat.store.tables.table_properties import loaded

# `identity`: the session does not unpack what came packed.
HEADERS = {"Accept": "application/json;odata=minimalmetadata", "Accept-Encoding": "identity"}
NEXT = "x-ms-continuation-"
NEXT_KEYS = ("NextPartitionKey", "NextRowKey")
NOT_KNOWN = (b"AuthenticationFailed", b"InvalidAuthenticationInfo")

type Token = Mapping[str, str]
"""Where the next page begins, as parameters of its query; empty after the last page."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored row. `date` is the service's clock when it was read, as its header says it."""

    values: Mapping[str, Any]
    etag: str
    timestamp: datetime
    date: str

    @property
    def key(self) -> str:
        return self.values["RowKey"]

    @property
    def partition(self) -> str:
        return self.values["PartitionKey"]

    @property
    def age(self) -> float:
        """Seconds since the last change, by the service's clock."""
        return age_of(self.timestamp, self.date)


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows, what of them (all, when nothing is named), and how many on a page."""

    filter: str
    select: Sequence[str] = ()
    top: int = 1000


async def read_row(connection: Connection, client: TableClient, partition: str, key: str) -> Row:
    """What the SDK and aiohttp raise, and Refused: its status is 404 when there is no such row."""
    url = url_of(client) + row_address(partition, key)
    reply = await connection.send(client, "GET", url, HEADERS)
    return _parsed(reply, lambda entity: row_from_json(entity, _date(reply)))


async def read_page(
    connection: Connection,
    client: TableClient,
    query: Query,
    token: Token,
    *,
    read_timeout: float | None = None,
) -> tuple[list[Row], Token]:
    """The rows, and where to go on. Raises as `read_row`."""
    url = f"{url_of(client)}()?{_parameters(query, token)}"
    reply = await connection.send(client, "GET", url, HEADERS, read_timeout=read_timeout)
    rows = _parsed(reply, lambda page: [row_from_json(each, _date(reply)) for each in page["value"]])
    return rows, {key: place for key in NEXT_KEYS if (place := reply.headers.get(NEXT + key))}


def row_from_json(entity: Mapping[str, Any], date: str) -> Row:
    """A row as the service shows it. ValueError, TypeError, AttributeError and KeyError for what is none."""
    values = {
        name: _value(value, entity.get(name + "@odata.type"))
        for name, value in entity.items()
        if "odata." not in name and name != "Timestamp"
    }
    changed = entity.get("Timestamp", "")
    etag = entity.get("odata.etag") or (f"W/\"datetime'{quote(changed)}'\"" if changed else "")
    return Row(values, etag, _moment(changed) if changed else datetime.now(UTC), date)


def age_of(timestamp: datetime, date: str) -> float:
    """Seconds from `timestamp` to the `Date` header of a reply, which has whole seconds: hence never below 0."""
    if not date:
        return 0.0
    return max(0.0, (parsedate_to_datetime(date) - timestamp).total_seconds())


def _moment(text: str) -> datetime:
    """The service counts in tenths of microseconds: what is beyond microseconds is cut off."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _long(text: str) -> tuple[int, str]:
    """As it is written, so that a row which is written again keeps its type."""
    return int(text), "Edm.Int64"


KINDS: Mapping[str, Callable[[Any], Any]] = {
    "Edm.Binary": a2b_base64,
    "Edm.Int64": _long,
    "Edm.DateTime": _moment,
    "Edm.Guid": UUID,
    "Edm.Double": float,
}


def _value(value: Any, kind: str | None) -> Any:
    convert = KINDS.get(kind) if kind is not None and value is not None else None
    return value if convert is None else convert(value)


def _parameters(query: Query, token: Token) -> str:
    chosen = {"$select": ",".join(query.select)} if query.select else {}
    return urlencode(
        {"$top": query.top, **chosen, "$filter": query.filter, **token}, quote_via=quote, safe="$"
    )


def _date(reply: Reply) -> str:
    return reply.headers.get("Date", "")


def _parsed[T](reply: Reply, read: Callable[[Any], T]) -> T:
    if reply.status >= 300:
        raise _refusal(reply)
    try:
        return read(loaded(reply.body))
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        # What users wrote stands in it, so it is not shown.
        what = f"{len(reply.body)} bytes that are no rows: {type(error).__name__}"
        raise DecodeError(what) from error


def _refusal(reply: Reply) -> HttpResponseError:
    """Who is not known may be so for a while only, as when a clock is wrong."""
    refused = Refused(reply.status, reply.body)
    if any(code in reply.body for code in NOT_KNOWN):
        return ClientAuthenticationError(refused.message)
    return refused
