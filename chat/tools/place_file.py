"""The sights of the file `places.csv`: real ones, with coordinates, and about how many hours to visit each takes."""

import csv
from functools import cached_property
from pathlib import Path

from chat.events import JSONObject
from chat.tools.places import place_id, plain

FILE = Path(__file__).with_name("places.csv")


class PlaceFile:
    """Finds the places of a file, which is read with the first question."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file

    async def find(self, city: str, kind: str, limit: int) -> list[JSONObject]:
        """As `PlaceFinder.find`, in the order of the file: the best known first."""
        wanted = [each for each in self._cities.get(plain(city), []) if plain(kind) in ("", each["kind"])]
        return wanted[:limit]

    @cached_property
    def _cities(self) -> dict[str, list[JSONObject]]:
        cities: dict[str, list[JSONObject]] = {}
        with self._file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                cities.setdefault(plain(row["city"]), []).append(_place(row))
        return cities


def _place(row: dict[str, str]) -> JSONObject:
    texts = {name: row[name] for name in ("name", "kind", "city", "country")}
    numbers = {name: float(row[name]) for name in ("lat", "lon", "hours")}
    return {"id": place_id(row["city"], row["name"]), **texts, **numbers}
