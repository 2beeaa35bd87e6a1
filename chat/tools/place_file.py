"""The sights of the file `places.csv`: real ones, with coordinates, and about how many hours to visit each takes."""

import csv
import re
import unicodedata
from functools import cached_property
from pathlib import Path

from chat.events import JSONObject

FILE = Path(__file__).with_name("places.csv")


class PlaceFile:
    """Finds the places of a file, which is read with the first question."""

    def __init__(self, file: Path = FILE) -> None:
        self._file = file

    async def find(self, city: str, kind: str, limit: int) -> list[JSONObject]:
        """As `PlaceFinder.find`, in the order of the file: the best known first."""
        wanted = [each for each in self._cities.get(_plain(city), []) if _plain(kind) in ("", each["kind"])]
        return wanted[:limit]

    @cached_property
    def _cities(self) -> dict[str, list[JSONObject]]:
        cities: dict[str, list[JSONObject]] = {}
        with self._file.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                cities.setdefault(_plain(row["city"]), []).append(_place(row))
        return cities


def _place(row: dict[str, str]) -> JSONObject:
    identifier = re.sub(r"[^a-z0-9]+", "-", _plain(f"{row['city']} {row['name']}")).strip("-")
    numbers = {name: float(row[name]) for name in ("lat", "lon", "hours")}
    return {"id": identifier, **{name: row[name] for name in ("name", "kind", "city", "country")}, **numbers}


def _plain(text: str) -> str:
    """Without case and accents: Kyōto is kyoto."""
    decomposed = unicodedata.normalize("NFKD", text.strip().casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
