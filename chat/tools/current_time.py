"""The tool `current_time`."""

from zoneinfo import ZoneInfo

from chat.clock import Clock
from chat.tools.base import ToolError
from chat.tools.function_tool import Tool, tool


def current_time_tool(clock: Clock) -> Tool:
    """The time by the given clock."""

    async def current_time(timezone: str = "UTC") -> str:
        """The current date and time.

        Args:
            timezone: An IANA time zone, for example Europe/Berlin.
        """
        now = clock.now().astimezone(_zone(timezone))
        return f"{now.isoformat(timespec='seconds')} ({now:%A}, {timezone})"

    return tool(current_time)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a name may lead to a folder, out of the zones, or nowhere
        raise ToolError(f"{name[:100]!r} is no IANA time zone.") from None
