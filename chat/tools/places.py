"""The tool `find_places`, and the port to whoever knows places."""

import unicodedata
from typing import Annotated, Protocol

from pydantic import Field

from chat.events import JSONObject
from chat.tools.function_tool import Tool, tool

City = Annotated[str, Field(min_length=1, max_length=100)]
Kind = Annotated[str, Field(max_length=50)]
Limit = Annotated[int, Field(ge=1, le=50)]


class PlaceFinder(Protocol):
    """Knows the sights of cities."""

    async def find(self, city: str, kind: str, limit: int) -> list[JSONObject]:
        """At most `limit` places, the best known first: name, kind, city, country, lat, lon, hours. "" is any kind;
        [] when the city is not known."""
        ...


def find_places_tool(finder: PlaceFinder) -> Tool:
    """Places as this finder knows them."""

    async def find_places(city: City, kind: Kind = "", limit: Limit = 10) -> list[JSONObject]:
        """Finds real places to visit in a city: name, kind, coordinates and hours of each.

        Args:
            city: The name of the city, in English.
            kind: What kind of place, for example museum, temple or park; empty for any.
            limit: How many places at most.
        """
        return await finder.find(city, kind, limit)

    return tool(find_places)


def plain(text: str) -> str:
    """Without case and accents: Kyōto is kyoto."""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def place_id(city: str, name: str) -> str:
    """The id that a place of this name there has: `tokyo-senso-ji`. "" when neither has a letter or digit."""
    letters = (letter if letter.isalnum() else " " for letter in plain(f"{city} {name}"))
    return "-".join("".join(letters).split())
