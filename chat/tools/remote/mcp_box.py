"""The tools of all servers. Without a server nothing is imported; with one, the package is, in a thread."""

import asyncio
import importlib
from collections.abc import Callable, Collection, Mapping, Sequence

from chat.clock import Clock
from chat.events import JSONObject
from chat.settings.mcp_servers import McpServer
from chat.tools.remote.mcp_definitions import MAX_TOOLS
from chat.tools.remote.mcp_server_tools import Connection, RemoteTool, ServerTools


class RemoteTools:
    """`limit` is seconds that a call may take."""

    def __init__(self, servers: Sequence[McpServer], clock: Clock, *, limit: float) -> None:
        self._servers = [ServerTools(each, _connect, clock.monotonic, limit) for each in servers]

    @property
    def tools(self) -> Mapping[str, RemoteTool]:
        """Those of the servers in the order of the settings, by their names; of too many the first."""
        found = {name: each for server in self._servers for name, each in server.tools.items()}
        return found if len(found) <= MAX_TOOLS else dict(list(found.items())[:MAX_TOOLS])

    @property
    def states(self) -> Mapping[str, JSONObject]:
        """How each server is, for its operators."""
        return {
            each.server.name: {
                "status": each.state,
                "tools": len(each.tools),
                "withheld": list(each.withheld),
            }
            for each in self._servers
        }

    async def ready(self, needed: Collection[str] = ()) -> None:
        """Wait for servers that were not heard of yet, for a moment at most; for those of tools that are `needed`, as
        long as it takes."""
        if self._servers:
            await asyncio.gather(*(each.ready(needed) for each in self._servers))

    async def aclose(self) -> None:
        await asyncio.gather(*(each.aclose() for each in self._servers))


async def _connect(server: McpServer, on_change: Callable[[], None]) -> Connection:
    await asyncio.to_thread(importlib.import_module, "chat.tools.remote.mcp_connection")
    from chat.tools.remote.mcp_connection import McpConnection

    return McpConnection(server, on_change)
