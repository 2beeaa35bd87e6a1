"""The tools that need nothing but a port: the time, and places."""

import pytest

from chat.calls import ToolCall
from chat.events import JSONObject
from chat.tools.current_time import current_time_tool
from chat.tools.function_tool import Tool
from chat.tools.places import find_places_tool
from chat.tools.registry import ToolRegistry
from tests.support.virtual_time import START


class NoonClock:
    def now(self):  # type: ignore[no-untyped-def]
        return START

    def monotonic(self) -> float:
        return 0.0


class Atlas:
    """Knows one city, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, int]] = []

    async def find(self, city: str, kind: str, limit: int) -> list[JSONObject]:
        self.asked.append((city, kind, limit))
        return [{"name": "Senso-ji", "kind": "temple", "city": "Tokyo"}] if city == "Tokyo" else []


async def said(used: Tool, arguments: str) -> tuple[str, bool]:
    result = await ToolRegistry([used], time_limit=5, max_output=1000).run(
        ToolCall("c", used.definition.name, arguments)
    )
    return result.output, result.is_error


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ("{}", "2026-11-20T08:15:00+00:00 (Friday, UTC)"),
        ('{"timezone": "Europe/Berlin"}', "2026-11-20T09:15:00+01:00 (Friday, Europe/Berlin)"),
        ('{"timezone": "Asia/Tokyo"}', "2026-11-20T17:15:00+09:00 (Friday, Asia/Tokyo)"),
    ],
)
async def test_the_time_is_told_for_a_zone(arguments: str, output: str) -> None:
    assert await said(current_time_tool(NoonClock()), arguments) == (output, False)


@pytest.mark.parametrize("zone", ["Mars/Base", "", "../../etc/passwd", "/etc/passwd", "Europe", "a\\u0000b"])
async def test_a_zone_that_is_none_is_an_error(zone: str) -> None:
    output, is_error = await said(current_time_tool(NoonClock()), f'{{"timezone": "{zone}"}}')
    assert is_error
    assert "no IANA time zone" in output


async def test_places_come_from_the_finder() -> None:
    atlas = Atlas()
    output, is_error = await said(find_places_tool(atlas), '{"city": "Tokyo", "kind": "temple", "limit": 3}')
    assert (output, is_error) == ('[{"name":"Senso-ji","kind":"temple","city":"Tokyo"}]', False)
    assert atlas.asked == [("Tokyo", "temple", 3)]


async def test_places_of_any_kind_are_the_default() -> None:
    atlas = Atlas()
    assert await said(find_places_tool(atlas), '{"city": "Atlantis"}') == ("[]", False)
    assert atlas.asked == [("Atlantis", "", 10)]


@pytest.mark.parametrize(
    "arguments", ["{}", '{"city": ""}', '{"city": "Tokyo", "limit": 0}', '{"city": "T", "limit": 51}']
)
async def test_places_want_a_city_and_a_bounded_number(arguments: str) -> None:
    assert (await said(find_places_tool(Atlas()), arguments))[1]
