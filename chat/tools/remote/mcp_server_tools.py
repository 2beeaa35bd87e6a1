"""The tools of one server: listed in the background, kept fresh, withheld when they change, and gone when it dies."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from chat.calls import ToolDefinition
from chat.settings.mcp_servers import McpServer
from chat.telemetry import record, record_warning
from chat.tools.base import NOBODY, Caller, ToolError
from chat.tools.fair import FairSlots, Shares
from chat.tools.remote.mcp_definitions import MAX_TOOLS, ListedTool, RemoteDefinition, define, in_order
from chat.tools.threads import BlockingCalls

FRESH = 300.0  # seconds after which tools are listed again
PATIENCE = 2.0  # seconds that requests wait for the first listing, all of them together
REST = 5.0  # seconds after a first failure until the next try, twice as many after each further one
LONGEST_REST = 300.0
FAILURES = 3  # in a row, after which the tools are withdrawn until the server lists them again
MAX_SEEN = 1000  # definitions that are remembered
SHARES = Shares(slots=16, slots_each=4, waiting=100, waiting_each=16)


class Connection(Protocol):
    """What is asked of a server."""

    async def list_tools(self) -> list[ListedTool]: ...
    async def call(self, tool: str, arguments: Mapping[str, Any], limit: float) -> str: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """A tool of a server, as the box of tools runs it."""

    definition: ToolDefinition
    tool: str
    server: "ServerTools"

    async def run(
        self, arguments: str, caller: Caller = NOBODY, threads: BlockingCalls | None = None
    ) -> object:
        """ToolError for a tool that fails, and a server that does."""
        given = self.read(arguments)
        if self.definition.needs_approval:
            await self.server.confirm(self.definition)
        return await self.server.call(self.tool, given, caller)

    def read(self, arguments: str) -> dict[str, Any]:
        """ToolError for arguments that are no object; the rest is the server's to check."""
        try:
            given = json.loads(arguments.strip() or "{}")
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, dict):
            raise ToolError(f"The arguments of {self.definition.name} are no JSON object.")
        return given  # pyright: ignore[reportUnknownVariableType]


@dataclass(slots=True)
class ServerTools:
    """`connect` makes the connection, in the background. `limit` is seconds that a call may take."""

    server: McpServer
    connect: Callable[[McpServer, Callable[[], None]], Awaitable[Connection]]
    monotonic: Callable[[], float]
    limit: float
    tools: Mapping[str, RemoteTool] = field(default_factory=dict[str, RemoteTool])
    """By name, in a fixed order."""
    withheld: tuple[str, ...] = ()  # names of tools that are not what they were
    _connection: Connection | None = None
    _listing: asyncio.Task[None] | None = None
    _due: float = 0.0
    _began: float | None = None  # when they were first asked for
    _listed: bool = False  # whether they ever were
    _failures: int = 0  # in a row
    _seen: dict[str, str] = field(default_factory=dict[str, str])  # digests, by tool
    _slots: FairSlots = field(default_factory=lambda: FairSlots(SHARES))

    @property
    def state(self) -> str:
        if self._failures:
            return "unreachable" if self._failures >= FAILURES or not self._listed else "failing"
        return "healthy" if self._listed else "unlisted"

    @property
    def _away(self) -> str:
        return f"The server {self.server.name} cannot be used at the moment."

    def look(self) -> None:
        """Have the tools listed, if it is time."""
        if self._listing is None and self.monotonic() >= self._due:
            self._listing = asyncio.create_task(self._list())

    async def ready(self, needed: Collection[str] = ()) -> None:
        """Wait for the first listing, for a moment at most; as long as it takes for tools that are `needed`."""
        if any(name.startswith(f"{self.server.name}_") and name not in self.tools for name in needed):
            await self._list_now()
            return
        self.look()
        now = self.monotonic()
        self._began = now if self._began is None else self._began
        left = self._began + PATIENCE - now
        if not self._listed and self._listing is not None and left > 0:
            await asyncio.wait((self._listing,), timeout=left)

    async def confirm(self, definition: ToolDefinition) -> None:
        """Have the tools listed once more: what somebody approved is run as they saw it. ToolError when it is another
        now, or nobody can say."""
        await self._list_now()
        if self._failures:
            raise ToolError(self._away)
        now = self.tools.get(definition.name)
        if now is None or now.definition != definition:
            raise ToolError(f"Not run: {definition.name} is not what it was, or is there no more.")

    async def call(self, tool: str, arguments: Mapping[str, Any], caller: Caller) -> str:
        """ToolError."""
        assert self._connection is not None
        await self._slots.take(caller.user_id)
        try:
            answer = await self._connection.call(tool, arguments, self.limit)
        except ToolError:
            raise
        except Exception as error:
            self._fail(error)
            raise ToolError(self._away) from None
        finally:
            self._slots.release(caller.user_id)
        self._failures = 0
        return answer

    async def aclose(self) -> None:
        if self._listing is not None:
            self._listing.cancel()
            await asyncio.gather(self._listing, return_exceptions=True)
        if self._connection is not None:
            await self._connection.aclose()

    async def _list_now(self) -> None:
        """Wait for the listing that runs, or another one."""
        self._due = self.monotonic()
        self.look()
        if self._listing is not None:
            await asyncio.wait((self._listing,))

    async def _list(self) -> None:
        try:
            if self._connection is None:
                self._connection = await self.connect(self.server, self._changed)
            self._due = self.monotonic() + FRESH
            self._take(await self._connection.list_tools())
        except Exception as error:
            self._fail(error)
        finally:
            self._listing = None

    def _changed(self) -> None:
        self._due = min(self._due, self.monotonic() + REST)

    def _fail(self, error: Exception) -> None:
        self._failures += 1
        rest = min(REST * 2 ** min(self._failures - 1, 10), LONGEST_REST)
        self._due = self.monotonic() + rest
        if self._failures >= FAILURES:
            self.tools = {}
        record_warning(
            "mcp_server_failed", server=self.server.name, error=str(error), failures=self._failures, rest=rest
        )

    def _take(self, listed: list[ListedTool]) -> None:
        """The tools as they are now."""
        defined = in_order(each for each in map(self._defined, listed) if each is not None)
        kept = [name for name, each in defined.items() if self._is_known(each)]
        self.withheld = tuple(name for name in defined if name not in kept)
        offered = kept[:MAX_TOOLS]
        self.tools = {
            name: RemoteTool(defined[name].definition, defined[name].tool, self) for name in offered
        }
        self._failures, self._listed = 0, True
        record(
            "mcp_tools_listed",
            server=self.server.name,
            listed=len(listed),
            tools={name: defined[name].digest for name in offered},
            withheld=self.withheld,
        )

    def _defined(self, listed: ListedTool) -> RemoteDefinition | None:
        if self.server.allow is not None and listed.name not in self.server.allow:
            return None
        try:
            return define(self.server.name, listed, needs_approval=self.server.asks_for(listed.name))
        except ValueError as error:
            record_warning("mcp_tool_left_out", server=self.server.name, reason=str(error)[:200])
            return None

    def _is_known(self, defined: RemoteDefinition) -> bool:
        """Whether a tool is what it was when it was seen first, and what the settings say that it is."""
        if len(self._seen) < MAX_SEEN:
            self._seen.setdefault(defined.tool, defined.digest)
        known = self._seen.get(defined.tool) == defined.digest
        known = known and self.server.allows(defined.tool, defined.digest)
        if not known:
            record_warning(
                "mcp_tool_withheld",
                server=self.server.name,
                tool=defined.definition.name,
                digest=defined.digest,
            )
        return known
