"""The `mcp` package's client towards one server: a session for each listing and each call.

So nothing that a server does in one call outlives it, and a server that went away and came back is no special case.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import (
    CONNECTION_CLOSED,
    HEADER_MISMATCH,
    PARSE_ERROR,
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    DiscoverResult,
    Implementation,
    ListToolsResult,
    ToolListChangedNotification,
)

from chat.settings.mcp_servers import McpServer
from chat.tools.base import ToolError
from chat.tools.remote.mcp_definitions import ListedTool
from chat.tools.remote.mcp_http import BoundedTransport, ClientCredentials, Refused, open_client
from chat.tools.remote.mcp_outputs import read_result
from chat.tools.remote.mcp_texts import cleaned, hidden, secrets_in

LISTING = 15.0  # seconds that a listing may take
CLOSING = 2.0  # seconds to say goodbye, which nobody waits for
MAX_PAGES = 10
MAX_LISTED = 1000  # tools that a server may list; of more none is used
LOST = (
    CONNECTION_CLOSED,
    PARSE_ERROR,
)  # by which the client says that there was no answer, or none it could read
SAID = 500  # characters of a server's error that a model is shown


class ServerFailed(Exception):
    """The server cannot be reached, or does not do its part. The text is ours."""


class McpConnection:
    """`on_change` is called when the server says that its tools are others now."""

    def __init__(self, server: McpServer, on_change: Callable[[], None]) -> None:
        logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs what servers and users say
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # and this a line for each request
        self._server, self._on_change = server, on_change
        self._pool = httpx2.AsyncHTTPTransport(trust_env=False)
        self._auth = ClientCredentials(server.oauth) if server.oauth else None
        self._secrets = tuple(secrets_in(server.headers))
        self._mode, self._discovered = "auto", None
        self._tasks: set[asyncio.Task[None]] = set()

    async def list_tools(self) -> list[ListedTool]:
        """All tools, as the server has them. ServerFailed."""
        self._mode, self._discovered = "auto", None
        try:
            listed = await self._exchange(_list_tools, LISTING)
        except ToolError as error:
            raise ServerFailed(str(error)) from None
        return [replace(each, description=self._hidden(each.description)) for each in listed]

    async def call(self, tool: str, arguments: Mapping[str, Any], limit: float) -> str:
        """What the tool answers. ToolError for an error of the tool, ServerFailed for one of the server."""

        async def use(client: Client) -> CallToolResult:
            return await _call(client, tool, arguments)

        try:
            result = await self._exchange(use, limit)
        except ToolError as error:
            raise ToolError(self._hidden(str(error))[:SAID]) from None
        if result.result_type != "complete":
            raise ToolError("The tool asks for more than it can be given here.")
        said = self._hidden(read_result(result))
        if result.is_error:
            raise ToolError(said)
        return said

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._pool.aclose()

    def _hidden(self, text: str) -> str:
        return hidden(text, (*self._secrets, *(self._auth.secrets if self._auth else ())))

    async def _exchange[T](self, use: Callable[[Client], Awaitable[T]], limit: float) -> T:
        """In a task of its own, since the session is closed when its result is there already."""
        found: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._run(use, found, limit))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await found
        finally:
            if found.cancelled():
                task.cancel()

    async def _run[T](
        self, use: Callable[[Client], Awaitable[T]], found: asyncio.Future[T], limit: float
    ) -> None:
        transport = BoundedTransport(self._pool)
        try:
            async with asyncio.timeout(limit) as ending, self._client(transport) as client:
                result = await use(client)
                if not found.done():
                    found.set_result(result)
                ending.reschedule(asyncio.get_running_loop().time() + CLOSING)
        except Exception as error:
            if transport.denied and self._auth is not None:
                self._auth.forget()
            if not found.done():
                found.set_exception(_failure(error, failed=transport.failed))
        finally:
            found.cancel()

    @asynccontextmanager
    async def _client(self, transport: BoundedTransport) -> AsyncGenerator[Client]:
        async with open_client(self._server, transport, self._auth) as http:
            client = Client(
                streamable_http_client(self._server.url, http_client=http),
                mode=self._mode,
                prior_discover=self._discovered,
                message_handler=self._heard,
                client_info=Implementation(name="parley", version="1"),
                cache=None,
            )
            async with client:
                discovered: DiscoverResult | None = client.session.discover_result
                self._mode, self._discovered = (
                    (client.protocol_version, discovered) if discovered else ("legacy", None)
                )
                yield client

    async def _heard(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._on_change()


async def _list_tools(client: Client) -> list[ListedTool]:
    tools: list[ListedTool] = []
    cursor: str | None = None
    for _ in range(MAX_PAGES):
        page: ListToolsResult = await client.list_tools(cursor=cursor)
        tools += (ListedTool(each.name, each.description or "", each.input_schema) for each in page.tools)
        if len(tools) > MAX_LISTED:
            break
        if not page.next_cursor:  # some end with an empty one
            return tools
        cursor = page.next_cursor
    raise ServerFailed("It lists too many tools.")


async def _call(client: Client, tool: str, arguments: Mapping[str, Any]) -> CallToolResult:
    """Not by the client's own method: that compiles the server's schemas and matches patterns in them."""
    request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=dict(arguments)))
    try:
        return await client.session.send_request(request, CallToolResult)
    except MCPError as error:
        if error.code != HEADER_MISMATCH:
            raise
        await client.list_tools()  # from which the session learns which arguments become headers
        return await client.session.send_request(request, CallToolResult)


def _failure(error: Exception, *, failed: bool) -> Exception:
    """Ours for what went wrong in an exchange. What the server said is for the model alone."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, Refused | ServerFailed):
            return ServerFailed(str(leaf))
    if not failed and isinstance(leaves[0], MCPError) and leaves[0].code not in LOST:
        return ToolError(f"The server refused: {cleaned(leaves[0].message)}")
    if isinstance(leaves[0], TimeoutError):
        return ServerFailed("It took too long.")
    return ServerFailed(f"It failed with {type(leaves[0]).__name__}.")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
            yield from _leaves(each)  # pyright: ignore[reportUnknownArgumentType]
    else:
        yield error
