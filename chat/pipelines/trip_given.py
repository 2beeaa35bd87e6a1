"""The state of a trip as its caller gives it, and what the intents of the message say about it.

A caller may give objects of its own, with more keys or fewer: nothing here takes anything for granted, and what has an
unknown shape is left as it is.
"""

from collections.abc import Iterator, Sequence
from typing import cast

from chat.events import JSON, JSONObject
from chat.pipelines.base import StageInput
from chat.pipelines.trip_answers import MAX_DAYS
from chat.tools.places import place_id, plain

MOST_GIVEN = 200  # entries of each list that a caller may send back
LONGEST_ID = 100  # characters of an id that is made here, before what tells it from another


def objects(value: object) -> list[JSONObject]:
    """The objects of a list; [] for anything else."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("JSONObject", each) for each in items if isinstance(each, dict)]


def text_of(item: JSONObject, key: str) -> str:
    """ "" for what is no text or whole number."""
    value = item.get(key)
    known = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool))
    return str(value) if known else ""


def is_new(given: StageInput) -> bool:
    """Whether the trip begins with this message."""
    return not any(objects(value) for value in given.given.values())


def places_given(given: StageInput) -> list[JSONObject]:
    """Each with an id that is its own: one without an id gets one, and so does one whose id another has, unless the
    two are the same in all. The same places get the same ids, whenever they are asked for."""
    distinct: list[JSONObject] = []
    for each in objects(given.given.get("pois")):
        if each not in distinct:
            distinct.append(each)
    ids = {text_of(each, "id") for each in distinct}
    seen: set[str] = {""}
    places: list[JSONObject] = []
    for each in distinct:
        identifier = text_of(each, "id")
        if identifier in seen:
            identifier = next(each_id for each_id in _ids_for(each) if each_id not in ids)
        ids.add(identifier)
        seen.add(identifier)
        places.append({**each, "id": identifier})
    return places


def _ids_for(place: JSONObject) -> Iterator[str]:
    first = place_id(text_of(place, "city"), text_of(place, "name"))[:LONGEST_ID] or "place"
    yield first
    number = 2
    while True:
        yield f"{first}-{number}"
        number += 1


def cities_given(given: StageInput) -> list[str]:
    """Where the trip goes already: by its places, then by its plan."""
    days = [day for option in objects(given.given.get("plan")) for day in objects(option.get("days"))]
    cities: dict[str, str] = {}
    for each in (*places_given(given), *days):
        if city := text_of(each, "city").strip():
            cities.setdefault(plain(city), city)
    return list(cities.values())


def with_new[Item](before: Sequence[Item], new: Sequence[Item]) -> list[Item]:
    """A list with as many new entries as leave it one that can be sent back."""
    return [*before, *new[: max(MOST_GIVEN - len(before), 0)]]


def requirements_given(given: StageInput) -> list[JSONObject]:
    return objects(given.given.get("requirements"))


def wanted(given: StageInput, intent: str, *, action: str = "") -> list[str]:
    """The values of the intents of one kind (and action)."""
    found = objects(given.results.get("intents"))
    return [
        str(each["value"])
        for each in found
        if each.get("intent") == intent and each.get("value") and action in ("", each.get("action"))
    ]


def is_wanted(given: StageInput, *intents: str) -> bool:
    """Whether there is an intent of one of these kinds, with a value or without."""
    return any(each.get("intent") in intents for each in objects(given.results.get("intents")))


def days_wanted(given: StageInput) -> int:
    """At most MAX_DAYS; 0 when nothing is said that is a number from 1 up."""
    said = next((value for value in wanted(given, "set_days") if value.isdecimal()), "0")
    return min(int(said), MAX_DAYS)


def days_given(given: StageInput) -> int:
    """Of the first option of the plan; 0 without one."""
    return next((len(objects(each.get("days"))) for each in objects(given.given.get("plan"))), 0)


def days_said(given: StageInput) -> str:
    """What the message says of their number; "" for nothing."""
    return str(days_wanted(given) or next(iter(wanted(given, "set_days")), ""))


def days_shown(given: StageInput) -> str:
    """Of the whole trip; "" when the model may choose."""
    return days_said(given) or str(days_given(given) or "")


def find_meant(values: Sequence[str], names: Sequence[Sequence[str]]) -> set[int]:
    """Which items the values mean: those that have such a name, else the only one whose name has the words of the value
    or the other way round. What means nothing, or could mean several, means none: no more is touched than was said."""
    known = [[words(each) for each in item if words(each)] for item in names]
    found: set[int] = set()
    for value in filter(None, map(words, values)):
        same = {at for at, item in enumerate(known) if value in item}
        alike = {at for at, item in enumerate(known) if any(_overlap(value, each) for each in item)}
        found |= same or (alike if len(alike) == 1 else set())
    return found


def words(value: str) -> str:
    """The words of a text alone, with single spaces between them."""
    return " ".join("".join(letter if letter.isalnum() else " " for letter in plain(value)).split())


def _overlap(one: str, other: str) -> bool:
    return f" {one} " in f" {other} " or f" {other} " in f" {one} "


def names(items: Sequence[JSONObject], *keys: str) -> list[JSON]:
    """The items with these keys alone, for a model that needs no more."""
    return [{key: text_of(each, key) for key in keys} for each in items]
