"""The stages of the trip planner: intents -> pois -> requirements -> plan (docs/protocol.md, section 4).

What the caller gives is the state of the trip, and each stage changes what the message asks for. The model says what
changes; the rest is kept here.
"""

from collections.abc import Mapping
from typing import Any, cast

from chat.errors import NoPlaces
from chat.events import JSON, JSONObject
from chat.pipelines.base import Stage, StageInput, StageInvalid
from chat.pipelines.trip_answers import (
    MOST_TEXT,
    ChangesAnswer,
    IntentsAnswer,
    PlanAnswer,
    PoisAnswer,
    RequirementsAnswer,
)
from chat.pipelines.trip_candidates import find_candidates, narrowed
from chat.pipelines.trip_given import (
    cities_given,
    days_given,
    days_said,
    days_shown,
    days_wanted,
    find_meant,
    is_new,
    is_wanted,
    names,
    objects,
    places_given,
    requirements_given,
    text_of,
    wanted,
    with_new,
    words,
)
from chat.pipelines.trip_plan import Bounds, Places, changed_options, check_option, given_options
from chat.tools.places import PlaceFinder

CITIES = 8
ACTIONS = {"add": "add", "remove": "remove", "set": "set", "change": "set", "other": "none"}
OPPOSITES = {"add_poi": "remove_poi", "add_requirement": "remove_requirement"}
NEED_PLACES = ("set_city", "set_days", "add_poi", "change_plan")


class Intents(Stage):
    name = "intents"
    percent = 25
    task = (
        "Say what the user wants of the trip planner: each city (set_city; with the action remove, one that the trip "
        "leaves out), the number of days of the whole trip (set_days), places to add (add_poi: the name or the kind), "
        "given places to remove (remove_poi: the exact name), requirements to add (add_requirement) or to change "
        "(add_requirement: the given description), given ones to remove (remove_requirement: the exact description), "
        "and any other change of the plan (change_plan: what to change). Anything that is not about planning a trip is "
        "one intent `other`."
    )
    answer = IntentsAnswer

    async def prepare(self, given: StageInput) -> JSONObject:
        return {
            "message": given.message,
            "days": days_given(given),
            "cities": cast("list[JSON]", cities_given(given)),
            "pois": names(places_given(given), "name", "kind", "city"),
            "requirements": names(requirements_given(given), "description"),
        }

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        return [_agreeing(each) for each in items]


class Pois(Stage):
    name = "pois"
    percent = 50
    task = (
        "Choose the places that suit the user best, by their ids, and say why in a few words: three or four a day for "
        "a new trip or city. The places in `pois` are chosen already; to those choose only what the message adds."
    )
    answer = PoisAnswer
    shows_items = True
    longest = 64 * 1024

    def __init__(self, finder: PlaceFinder) -> None:
        self._finder = finder
        self._candidates: dict[str, JSONObject] = {}

    async def prepare(self, given: StageInput) -> JSONObject | None:
        before = places_given(given)
        called = {words(text_of(each, "name")) for each in before}
        additions = [each for each in wanted(given, "add_poi") if words(each) not in called]
        cities = [each for each in wanted(given, "set_city") if each not in _cities_out(given)][:CITIES]
        if cities or additions:
            there = cities or cities_given(given)[:CITIES]
            found = await find_candidates(self._finder, there, before)
            self._candidates = narrowed(found, additions, whole=bool(cities))
        if not self._candidates and not before and is_wanted(given, *NEED_PLACES):
            raise NoPlaces(
                f"No places are known in {', '.join(cities)}." if cities else "The trip needs a city."
            )
        if not self._candidates:
            return None
        return {
            "message": given.message,
            "days": days_shown(given),
            "intents": given.results["intents"],
            "pois": names(before, "name", "kind", "city"),
            "candidates": [
                {key: place[key] for key in ("id", "name", "kind", "city", "hours")}
                for place in self._candidates.values()
            ],
        }

    def item(self, value: Mapping[str, Any]) -> JSONObject | None:
        place = self._candidates.get(str(value.get("id")))
        return {**place, "why": str(value.get("why", ""))[:MOST_TEXT]} if place else None

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        """Given places stay, unless an intent takes them out."""
        before = places_given(given)
        known = {text_of(each, "id") for each in before}
        unwanted = {words(each) for each in wanted(given, "remove_poi")}
        chosen: dict[str, JSONObject] = {}
        for value in items:
            place = self.item(value)
            if place is None and value["id"] not in known:
                raise StageInvalid(f"{value['id']!r} is not the id of a candidate.")
            if place is not None and words(text_of(place, "name")) not in unwanted:
                chosen.setdefault(str(place["id"]), place)
        return with_new(_staying(before, given), list(chosen.values()))


class Requirements(Stage):
    name = "requirements"
    percent = 75
    task = (
        "List what the plan has to observe and `requirements` does not hold yet: what the user asks for now and, for a "
        "new trip, what these places need. To change the priority of one in `requirements`, repeat its description."
    )
    answer = RequirementsAnswer

    async def prepare(self, given: StageInput) -> JSONObject | None:
        if not is_wanted(given, "add_requirement") and not is_new(given):
            return None
        return {
            "message": given.message,
            "intents": given.results["intents"],
            "requirements": cast("list[JSON]", requirements_given(given)),
            "pois": names(objects(given.results["pois"]), "name", "kind", "city"),
        }

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        """Those that no intent means stay as they are, whatever the model says of them."""
        before = requirements_given(given)
        said = [(text_of(each, "description"),) for each in before]
        removed = find_meant(wanted(given, "remove_requirement"), said)
        meant = find_meant(wanted(given, "add_requirement"), said)
        places = {words(name): at for at, (name,) in enumerate(said)}
        stay = {at: each for at, each in enumerate(before) if at not in removed}
        new: dict[str, JSONObject] = {}
        for value in items:
            at = places.get(words(value["description"]))
            if at is None:
                new.setdefault(words(value["description"]), value)
            elif at in meant:
                stay[at] = {**before[at], "priority": value["priority"]}
        return with_new(list(stay.values()), list(new.values()))


class Plan(Stage):
    name = "plan"
    percent = 100
    task = (
        "Plan the days: one option, or up to three that differ. Number the days from 1, as many as the user wants; "
        "visit each place at most once, by its poi_id, in the city where it is; times are HH:MM and follow one another."
    )
    answer = PlanAnswer

    async def prepare(self, given: StageInput) -> JSONObject | None:
        before = _options_given(given)
        if not before and not given.results["pois"]:
            return None
        shown: JSONObject = {
            "message": given.message,
            "days": days_said(given),
            "pois": given.results["pois"],
            "requirements": given.results["requirements"],
        }
        if not before:
            return shown
        self.task, self.answer = CHANGE, ChangesAnswer
        added = cast("list[JSON]", sorted(_added(given)))
        plan = cast("list[JSON]", before)
        return {**shown, "intents": given.results["intents"], "added": added, "plan": plan}

    def finish(self, items: list[dict[str, Any]], given: StageInput) -> list[JSONObject]:
        before, places = _options_given(given), _ids(objects(given.results["pois"]))
        days = days_wanted(given)
        if before:
            free = is_wanted(given, "change_plan") or (is_wanted(given, "set_days") and not days)
            grows = free or is_wanted(given, "set_city")
            bounds = Bounds(places, _added(given), days, grows=grows, free=free)
            return changed_options(before, items, bounds)
        for option in items:
            check_option(option, places, days)
        return items

    def text(self, result: JSON) -> str:
        return "\n".join(f"{text_of(each, 'title')}: {text_of(each, 'summary')}" for each in objects(result))


CHANGE = (
    "`plan` holds the options of a plan. Change in it what the message and the intents ask for, and keep the rest: "
    "answer with the days that change, each of them whole, under the number of their option, from 1. Options and days "
    "that you leave out stay as they are; where nothing changes, answer without items. Visit each place of `added` on "
    "a day in its city, and say in the notes of a day what a requirement asks of it. Keep the other visits of a day "
    "that changes, with poi_id, name and note. Each place is visited at most once in an option; times are HH:MM and "
    "follow one another. title and summary are empty where they stay."
)


def trip_stages(finder: PlaceFinder) -> list[Stage]:
    """The stages of one turn, in order."""
    return [Intents(), Pois(finder), Requirements(), Plan()]


def is_actionable(intents: JSON) -> bool:
    """Whether there is anything to plan."""
    return any(each.get("intent") != "other" for each in objects(intents))


def _agreeing(intent: Mapping[str, Any]) -> JSONObject:
    """An intent whose action says the same as its kind."""
    kind, action = str(intent["intent"]), str(intent["action"])
    if action == "remove":
        kind = OPPOSITES.get(kind, kind)
    if kind != "set_city" or action == "none":
        action = ACTIONS[kind.partition("_")[0]]
    return {**intent, "intent": kind, "action": action}


def _cities_out(given: StageInput) -> list[str]:
    return wanted(given, "set_city", action="remove")


def _staying(before: list[JSONObject], given: StageInput) -> list[JSONObject]:
    """The given places that no intent takes out."""
    called = [(text_of(each, "id"), text_of(each, "name")) for each in before]
    out = find_meant(wanted(given, "remove_poi"), called)
    cities = {words(each) for each in _cities_out(given)}
    return [
        each for at, each in enumerate(before) if at not in out and words(text_of(each, "city")) not in cities
    ]


def _options_given(given: StageInput) -> list[JSONObject]:
    """The given plan without the visits to what this turn took out."""
    before, here = places_given(given), objects(given.results["pois"])
    gone = [each for each in before if text_of(each, "id") not in _ids(here)]
    said = (*wanted(given, "remove_poi"), *(text_of(each, "name") for each in gone))
    return given_options(
        given.given.get("plan"), Places(here, _ids(gone), {words(each) for each in said} - {""})
    )


def _added(given: StageInput) -> set[str]:
    """The ids of the places that were asked for, be they new or not in the plan so far."""
    called = {words(each) for each in wanted(given, "add_poi")}
    before = _ids(places_given(given))
    here = objects(given.results["pois"])
    new = [
        each for each in here if text_of(each, "id") not in before or words(text_of(each, "name")) in called
    ]
    return _ids(new) if is_wanted(given, "add_poi") else set()


def _ids(places: list[JSONObject]) -> set[str]:
    return {text_of(each, "id") for each in places}
