"""The stages of the trip planner: intents -> pois -> requirements -> plan (docs/protocol.md, section 4)."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field

from chat.errors import NotFound
from chat.events import JSON, JSONObject
from chat.pipelines.base import Stage, StageInput, StageInvalid
from chat.tools.places import PlaceFinder

CANDIDATES = 10  # places a city that the model may choose among
CITIES = 8
MAX_DAYS = 30  # that are planned, however many are asked for
TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
MOST_TEXT = 500  # characters that a model may write into one field
type Text = Annotated[str, Field(max_length=MOST_TEXT)]


class NoPlaces(NotFound):
    """No places are known there."""

    code = "NO_PLACES"


class Strict(BaseModel):
    """As services want schemas: every field is there, and no other."""

    model_config = ConfigDict(extra="forbid")


class Intent(Strict):
    intent: Literal["set_city", "set_days", "add_poi", "remove_poi", "add_requirement", "other"]
    action: Literal["add", "remove", "set", "none"]
    value: Text


class IntentsAnswer(Strict):
    items: Annotated[list[Intent], Field(max_length=30)]


class Choice(Strict):
    id: Text
    why: Text


class PoisAnswer(Strict):
    items: Annotated[list[Choice], Field(max_length=60)]


class Requirement(Strict):
    description: Text
    priority: Literal["high", "medium", "low"]


class RequirementsAnswer(Strict):
    items: Annotated[list[Requirement], Field(max_length=30)]


class Visit(Strict):
    start: Text
    end: Text
    poi_id: Text
    name: Text
    note: Text


class Day(Strict):
    day: int
    city: Text
    items: Annotated[list[Visit], Field(max_length=20)]


class Option(Strict):
    title: Text
    summary: Text
    days: Annotated[list[Day], Field(min_length=1, max_length=MAX_DAYS)]


class PlanAnswer(Strict):
    items: Annotated[list[Option], Field(min_length=1, max_length=3)]


class Intents(Stage):
    name = "intents"
    percent = 25
    task = (
        "Say what the user wants of the trip planner: each city (set_city), the number of days (set_days), places to "
        "add or remove by name, and requirements. Anything that is not about planning a trip is one intent `other`."
    )
    answer = IntentsAnswer

    async def prepare(self, given: StageInput) -> JSONObject:
        return {"message": given.message, "pois": _names(given.given.get("pois"))}

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        return items


class Pois(Stage):
    name = "pois"
    percent = 50
    task = "Choose the places that suit the user best, three or four a day, by their ids, and say why in a few words."
    answer = PoisAnswer
    shows_items = True
    longest = 64 * 1024

    def __init__(self, finder: PlaceFinder) -> None:
        self._finder = finder
        self._candidates: dict[str, JSONObject] = {}

    async def prepare(self, given: StageInput) -> JSONObject | None:
        cities = wanted(given, "set_city")[:CITIES]
        for city in cities:
            for place in await self._finder.find(city, "", CANDIDATES):
                self._candidates.setdefault(str(place["id"]), place)
        if not self._candidates and not given.given.get("pois"):
            raise NoPlaces(
                f"No places are known in {', '.join(cities)}." if cities else "The trip needs a city."
            )
        if not self._candidates:
            return None
        shown: list[JSON] = [
            {key: place[key] for key in ("id", "name", "kind", "city", "hours")}
            for place in self._candidates.values()
        ]
        return {"message": given.message, "days": _days_shown(given), "candidates": shown}

    def item(self, value: Mapping[str, Any]) -> JSONObject | None:
        place = self._candidates.get(str(value.get("id")))
        return {**place, "why": str(value.get("why", ""))[:MOST_TEXT]} if place else None

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        unwanted = {name.casefold() for name in wanted(given, "remove_poi")}
        chosen = {str(each["id"]): each for each in _objects(given.given.get("pois")) if each.get("id")}
        for value in items:
            place = self.item(value)
            if place is None:
                raise StageInvalid(f"{value['id']!r} is not the id of a candidate.")
            chosen.setdefault(str(place["id"]), place)
        return [each for each in chosen.values() if str(each.get("name", "")).casefold() not in unwanted]


class Requirements(Stage):
    name = "requirements"
    percent = 75
    task = "List what the plan has to observe: what the user asked for, and what these places need."
    answer = RequirementsAnswer

    async def prepare(self, given: StageInput) -> JSONObject:
        return {
            "message": given.message,
            "intents": given.results["intents"],
            "requirements": given.given.get("requirements", []),
            "pois": _names(given.results["pois"]),
        }

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        before = _objects(given.given.get("requirements"))
        said = {str(each.get("description", "")).casefold() for each in before}
        return [*before, *(each for each in items if each["description"].casefold() not in said)]


class Plan(Stage):
    name = "plan"
    percent = 100
    task = (
        "Plan the days: one option, or up to three that differ. Number the days from 1, as many as the user wants; "
        "visit each place at most once, by its poi_id, in the city where it is; times are HH:MM and follow one another."
    )
    answer = PlanAnswer

    async def prepare(self, given: StageInput) -> JSONObject:
        return {
            "message": given.message,
            "days": _days_shown(given),
            "pois": given.results["pois"],
            "requirements": given.results["requirements"],
        }

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        known = {str(each.get("id")) for each in _objects(given.results["pois"])}
        for option in items:
            _check_option(option, known, days_wanted(given))
        return items

    def text(self, result: JSON) -> str:
        return "\n".join(f"{each['title']}: {each['summary']}" for each in _objects(result))


def trip_stages(finder: PlaceFinder) -> list[Stage]:
    """The stages of one turn, in order."""
    return [Intents(), Pois(finder), Requirements(), Plan()]


def is_actionable(intents: JSON) -> bool:
    """Whether there is anything to plan."""
    return any(each.get("intent") != "other" for each in _objects(intents))


def wanted(given: StageInput, intent: str) -> list[str]:
    """The values of the intents of one kind."""
    found = _objects(given.results.get("intents"))
    return [str(each["value"]) for each in found if each.get("intent") == intent and each.get("value")]


def days_wanted(given: StageInput) -> int:
    """At most MAX_DAYS; 0 when nothing is said that is a number from 1 up."""
    said = next((text for text in wanted(given, "set_days") if text.isdecimal()), "0")
    return min(int(said), MAX_DAYS)


def _days_shown(given: StageInput) -> str:
    return str(days_wanted(given) or next(iter(wanted(given, "set_days")), ""))


def _check_option(option: Mapping[str, Any], known: set[str], days: int) -> None:
    numbers = [day["day"] for day in option["days"]]
    if numbers != list(range(1, len(numbers) + 1)) or (days and len(numbers) != days):
        raise StageInvalid(f"The days must be numbered from 1 to {days or 'the last'}, without a gap.")
    seen: set[str] = set()
    for day in option["days"]:
        last = ""
        for visit in day["items"]:
            _check_visit(visit, known, seen, last)
            seen.add(visit["poi_id"])
            last = visit["end"]


def _check_visit(visit: Mapping[str, str], known: set[str], seen: set[str], last: str) -> None:
    if visit["poi_id"] not in known:
        raise StageInvalid(f"{visit['poi_id']!r} is not the id of a place of the trip.")
    if visit["poi_id"] in seen:
        raise StageInvalid(f"{visit['poi_id']!r} is visited twice.")
    if not TIME.fullmatch(visit["start"]) or not TIME.fullmatch(visit["end"]):
        raise StageInvalid("Times are written HH:MM.")
    if not last <= visit["start"] < visit["end"]:
        raise StageInvalid(f"{visit['start']}-{visit['end']} does not follow {last or 'in order'}.")


def _objects(value: object) -> list[JSONObject]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [cast("JSONObject", each) for each in items if isinstance(each, dict)]


def _names(value: object) -> list[JSON]:
    return [str(each["name"]) for each in _objects(value) if each.get("name")]
