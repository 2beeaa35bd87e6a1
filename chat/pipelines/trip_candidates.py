"""The places that the model may choose among: real ones, that are not in the trip yet."""

from collections.abc import Sequence

from chat.events import JSONObject
from chat.pipelines.trip_given import text_of, words
from chat.tools.places import PlaceFinder

CANDIDATES = 10  # places a city that the model may choose among
LOOKED_AT = 50  # places a city among which they are sought


async def find_candidates(
    finder: PlaceFinder, cities: Sequence[str], before: Sequence[JSONObject]
) -> list[list[JSONObject]]:
    """For each city the places that are not among those before, by whatever id."""
    known = {text_of(each, "id") for each in before} | {_name(each) for each in before}
    found = [await finder.find(city, "", LOOKED_AT) for city in cities]
    return [
        [each for each in places if str(each["id"]) not in known and _name(each) not in known]
        for places in found
    ]


def narrowed(
    cities: Sequence[Sequence[JSONObject]], additions: Sequence[str], *, whole: bool
) -> dict[str, JSONObject]:
    """At most CANDIDATES a city, by their ids: first what fits the additions. The best known come after it where a city
    is wanted as a `whole`, and where nothing fits."""
    fitting = [[place for each in additions for place in _fitting(places, each)] for places in cities]
    rest = whole or not any(fitting)
    chosen: dict[str, JSONObject] = {}
    for fit, places in zip(fitting, cities, strict=True):
        distinct = {str(each["id"]): each for each in [*fit, *(places if rest else ())]}
        chosen |= dict(list(distinct.items())[:CANDIDATES])
    return chosen


def _fitting(places: Sequence[JSONObject], addition: str) -> list[JSONObject]:
    """By name, by kind, or by a part of the name: the closest that there is."""
    said = words(addition)
    singular = " ".join(each.removesuffix("s") for each in said.split())
    ways = (
        [each for each in places if _within(words(text_of(each, "name")), said)],
        [each for each in places if _within(words(text_of(each, "kind")), singular)],
        [each for each in places if _within(said, words(text_of(each, "name")))],
    )
    return next(filter(None, ways), [])


def _within(part: str, whole: str) -> bool:
    return bool(part) and f" {part} " in f" {whole} "


def _name(place: JSONObject) -> tuple[str, str]:
    return words(text_of(place, "name")), words(text_of(place, "city"))
