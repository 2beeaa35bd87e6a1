"""Where places come from: the bundled file, and an Overpass endpoint that may fail."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from chat.tools import overpass
from chat.tools.overpass import Overpass
from chat.tools.place_file import FILE, PlaceFile
from tests.support.web_server import served

FOUND = {
    "elements": [
        {
            "type": "node",
            "id": 7,
            "lat": 1.5,
            "lon": 2.25,
            "tags": {"name": "Museo", "name:en": "M", "tourism": "museum"},
        },
        {
            "type": "way",
            "id": 8,
            "center": {"lat": 1, "lon": 2},
            "tags": {"name": "Hill", "tourism": "viewpoint"},
        },
        {"type": "way", "id": 9, "center": {"lat": 1, "lon": 2}, "tags": {"tourism": "viewpoint"}},
    ]
}


async def test_the_file_has_a_few_hundred_places_with_all_that_is_needed() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()[1:]
    cities = {line.split(",")[0] for line in lines}
    assert len(lines) > 200 and len(cities) >= 30
    file = PlaceFile()
    seen: set[str] = set()
    for city in cities:
        found = await file.find(city, "", 100)
        assert len(found) >= 6
        for place in found:
            assert set(place) == {"id", "name", "kind", "city", "country", "lat", "lon", "hours"}
            lat, lon, hours = (place[name] for name in ("lat", "lon", "hours"))
            assert isinstance(lat, float) and isinstance(lon, float) and isinstance(hours, float)
            assert -90 < lat < 90 and -180 < lon < 180 and 0 < hours <= 4
            seen.add(str(place["id"]))
    assert len(seen) == len(lines)


@pytest.mark.parametrize(
    ("city", "kind", "limit", "first", "count"),
    [
        ("Tokyo", "", 3, "Senso-ji", 3),
        ("  kyōto ", "temple", 9, "Kinkaku-ji", 5),
        ("Atlantis", "", 9, None, 0),
        ("", "", 9, None, 0),
    ],
)
async def test_places_are_found_by_city_and_kind(
    city: str, kind: str, limit: int, first: str | None, count: int
) -> None:
    found = await PlaceFile().find(city, kind, limit)
    assert (found[0]["name"] if found else None, len(found)) == (first, count)


@asynccontextmanager
async def endpoint(
    answer: object, *, status: int = 200, wait: float = 0
) -> AsyncGenerator[tuple[str, list[str]]]:
    """An Overpass endpoint, and the queries that it got."""
    asked: list[str] = []

    async def reply(request: web.Request) -> web.Response:
        asked.append(str((await request.post())["data"]))
        await asyncio.sleep(wait)
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_post("/api", reply)
    async with served(app) as url:
        yield f"{url}/api", asked


async def test_an_endpoint_is_asked_and_its_places_are_shown_like_the_others() -> None:
    async with endpoint(FOUND) as (url, asked):
        found = await Overpass(url, PlaceFile()).find('To"kyo', "", 5)
    assert [each["name"] for each in found] == ["M", "Hill"]
    assert found[0] == {
        "id": "osm-node-7", "name": "M", "kind": "museum", "city": 'To"kyo', "country": "", "lat": 1.5, "lon": 2.25,
        "hours": 2.0,
    }  # fmt: skip
    assert '"name"="Tokyo"' in asked[0]


@pytest.mark.parametrize(
    ("answer", "status"), [({}, 200), ({"elements": []}, 200), ([], 200), (FOUND, 429), ("x", 500)]
)
async def test_when_it_fails_or_knows_nothing_the_file_answers(answer: object, status: int) -> None:
    async with endpoint(answer, status=status) as (url, _):
        found = await Overpass(url, PlaceFile()).find("Tokyo", "", 2)
    assert [each["name"] for each in found] == ["Senso-ji", "Meiji Jingu"]


async def test_it_is_not_waited_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overpass, "TIMEOUT", 0.05)
    async with endpoint(FOUND, wait=5) as (url, _):
        assert (await Overpass(url, PlaceFile()).find("Tokyo", "", 1))[0]["name"] == "Senso-ji"


async def test_an_endpoint_that_is_not_there_is_no_obstacle() -> None:
    assert len(await Overpass("http://127.0.0.1:9/api", PlaceFile()).find("Rome", "", 3)) == 3
