"""Sights from OpenStreetMap, through an Overpass endpoint (https://wiki.openstreetmap.org/wiki/Overpass_API)."""

import asyncio
import re
from typing import Any

import aiohttp
import orjson

from chat.events import JSONObject
from chat.telemetry import record_error
from chat.tools.places import PlaceFinder

TIMEOUT = 8.0  # seconds for one question
HOURS = {"museum": 2.0, "gallery": 1.5, "zoo": 3.0, "theme_park": 4.0, "viewpoint": 0.5}
QUERY = """[out:json][timeout:6];
area["name:en"="{city}"]["place"~"city|town"]->.a;
(area["name"="{city}"]["boundary"="administrative"];.a;)->.b;
nwr(area.b)["tourism"~"^(museum|gallery|attraction|viewpoint|zoo|theme_park)$"]["name"]["wikidata"];
out center {limit};"""


class Overpass:
    """Asks an endpoint, and `fallback` when it fails or knows nothing."""

    def __init__(self, url: str, fallback: PlaceFinder) -> None:
        self._url = url
        self._fallback = fallback

    async def find(self, city: str, kind: str, limit: int) -> list[JSONObject]:
        """As `PlaceFinder.find`."""
        try:
            found = await self._ask(city, limit if not kind else 50)
        except (
            aiohttp.ClientError,
            TimeoutError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
        ) as error:
            record_error("overpass_failed", error)
            found = []
        wanted = [each for each in found if kind in ("", each["kind"])][:limit]
        return wanted or await self._fallback.find(city, kind, limit)

    async def _ask(self, city: str, limit: int) -> list[JSONObject]:
        query = QUERY.format(city=re.sub(r'["\\\n]', "", city), limit=limit)
        async with (
            asyncio.timeout(TIMEOUT),
            aiohttp.ClientSession() as session,
            session.post(self._url, data={"data": query}) as reply,
        ):
            reply.raise_for_status()
            elements = orjson.loads(await reply.read())["elements"]
        return [_place(each, city) for each in elements if each.get("tags", {}).get("name")]


def _place(element: dict[str, Any], city: str) -> JSONObject:
    tags, center = element["tags"], element.get("center") or element
    kind = tags.get("tourism", "attraction")
    return {
        "id": f"osm-{element['type']}-{element['id']}",
        "name": tags.get("name:en") or tags["name"],
        "kind": kind,
        "city": city,
        "country": tags.get("addr:country", ""),
        "lat": round(float(center["lat"]), 5),
        "lon": round(float(center["lon"]), 5),
        "hours": HOURS.get(kind, 1.0),
    }
