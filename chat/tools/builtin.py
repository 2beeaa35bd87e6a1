"""The tools that come with Parley, as the settings want them."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from chat.clock import Clock
from chat.databricks import databricks_access
from chat.settings import Settings
from chat.settings.values import ALL
from chat.tools.current_time import current_time_tool
from chat.tools.data import SAMPLE, DataTools
from chat.tools.function_tool import Tool
from chat.tools.genie import Genie
from chat.tools.overpass import Overpass
from chat.tools.place_file import PlaceFile
from chat.tools.places import PlaceFinder, find_places_tool
from chat.tools.registry import ToolRegistry
from chat.tools.remote.mcp_box import RemoteTools


def build_tools(settings: Settings, clock: Clock, *, places: PlaceFinder | None = None) -> ToolRegistry:
    """Those of CHAT_TOOLS for which there is something to ask. Must run inside the event loop that will serve it."""
    data = DataTools(data_folder(settings.data_dir))
    genie = Genie(databricks_access(settings))
    tools: list[Tool] = [current_time_tool(clock), *data.tools, *genie.tools]
    if places is not None:
        tools.append(find_places_tool(places))
    servers = (
        replace(each, needs_approval=each.needs_approval or ALL in settings.approve_tools)
        for each in settings.mcp_servers
    )
    return ToolRegistry(
        _offered(tools, settings),
        time_limit=settings.tool_timeout,
        max_output=settings.tool_output_chars,
        remote=RemoteTools(tuple(servers), clock, limit=settings.tool_timeout),
        on_close=data.aclose,
    )


def _offered(tools: Iterable[Tool], settings: Settings) -> Iterator[Tool]:
    for each in tools:
        name = each.definition.name
        if name in settings.tools:
            yield each.guarded if {name, ALL} & set(settings.approve_tools) else each


def data_folder(name: str) -> Path:
    """A relative one is sought beside `chat/`, where a deployment has it."""
    return SAMPLE.parent / name if name else SAMPLE


def place_finder(settings: Settings) -> PlaceFinder:
    """An Overpass endpoint when one is set, and the bundled file."""
    file = PlaceFile()
    return Overpass(settings.overpass_url, file) if settings.overpass_url else file
