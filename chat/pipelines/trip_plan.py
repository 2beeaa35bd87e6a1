"""The plan of a trip: what makes one right, and how changes to a given one are put into it.

The model answers with the days that change. Everything else stays as it was given, and what the model leaves out of a
day that it changes is noticed: nothing gets lost because a model forgot it.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from chat.events import JSON, JSONObject
from chat.pipelines.base import StageInvalid
from chat.pipelines.trip_answers import MOST_TEXT
from chat.pipelines.trip_given import objects, text_of, words

TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True, slots=True)
class Places:
    """Where visits of a given plan may go."""

    here: Sequence[JSONObject]  # places of the trip
    gone: Collection[str] = ()  # ids of those that were taken out
    gone_names: Collection[str] = ()  # the words of their names, for visits that name no place of the trip


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a change may do."""

    places: Collection[str]  # ids of the trip's places
    added: Collection[str] = ()  # those of them that have to be visited now
    days: int = 0  # that were asked for; 0 leaves their number
    grows: bool = False  # the number of days may change
    free: bool = False  # visits may be left out as well


def check_option(option: Mapping[str, Any], places: Collection[str], days: int) -> None:
    """StageInvalid for a new option that does not do."""
    numbers = [day["day"] for day in option["days"]]
    if numbers != list(range(1, len(numbers) + 1)) or (days and len(numbers) != days):
        raise StageInvalid(f"The days must be numbered from 1 to {days or 'the last'}, without a gap.")
    _check_places(option, places)
    _check_order(option)


def given_options(plan: object, places: Places) -> list[JSONObject]:
    """The options of a given plan: their days numbered, each visit with the id of its place, and none to a place that
    is gone. [] when no option has a day."""
    options = [_given_option(each, places) for each in objects(plan)]
    return options if any(objects(each.get("days")) for each in options) else []


def changed_options(
    before: Sequence[JSONObject], changes: Sequence[Mapping[str, Any]], bounds: Bounds
) -> list[JSONObject]:
    """The options with the changes in them. StageInvalid when they do not do."""
    after = list(before)
    for change in changes:
        at = change["option"] - 1
        if not 0 <= at < len(before):
            raise StageInvalid(f"There is no option {change['option']}: they are numbered from 1.")
        after[at] = _changed(after[at], change)
    for number, old in enumerate(before):
        if objects(old.get("days")):
            after[number] = _cut(after[number], bounds.days)
            _check_changed(old, after[number], bounds)
    return after


def _given_option(option: JSONObject, places: Places) -> JSONObject:
    ids = {words(text_of(each, "name")): text_of(each, "id") for each in reversed(places.here)}
    known = {text_of(each, "id") for each in places.here}
    days: list[JSON] = []
    for number, day in enumerate(objects(option.get("days")), 1):
        items: list[JSON] = []
        for visit in objects(day.get("items")):
            name, place = words(text_of(visit, "name")), text_of(visit, "poi_id")
            if place not in known and name:
                place = ids.get(name, place)
            if place not in places.gone and (place in known or name not in places.gone_names):
                items.append({**visit, "poi_id": place} if place else visit)
        days.append({**day, "day": number, "items": items})
    return {**option, "days": days} if days else option


def _key(visit: Mapping[str, Any]) -> str:
    """What a visit goes to."""
    return text_of(dict(visit), "poi_id") or text_of(dict(visit), "name")


def _visits(option: Mapping[str, Any]) -> list[JSONObject]:
    return [visit for day in objects(option.get("days")) for visit in objects(day.get("items"))]


def _changed(option: JSONObject, change: Mapping[str, Any]) -> JSONObject:
    """Days are whole; what the caller's own keys say of an option, a day and a visit stays."""
    anywhere = {_key(each): each for each in reversed(_visits(option)) if text_of(each, "poi_id")}
    days = dict(enumerate(objects(option.get("days")), 1))
    for day in change["days"]:
        old = days.get(day["day"], {})
        visits = anywhere | {_key(each): each for each in reversed(objects(old.get("items")))}
        items: list[JSON] = [_changed_visit(visits.get(_key(each), {}), each) for each in day["items"]]
        days[day["day"]] = {**old, **day, "city": day["city"] or text_of(old, "city"), "items": items}
    if sorted(days) != list(range(1, len(days) + 1)):
        raise StageInvalid(f"Option {change['option']} has days without a number, or a gap between them.")
    said: JSONObject = {key: change[key] for key in ("title", "summary") if change[key]}
    return {**option, **said, "days": [days[number] for number in sorted(days)]}


def _changed_visit(old: JSONObject, visit: JSONObject) -> JSONObject:
    """A place keeps its name, and a note stays that is longer than a model may write."""
    kept: JSONObject = {"name": text_of(old, "name") or visit["name"]}
    if len(text_of(old, "note")) > MOST_TEXT:
        kept["note"] = old["note"]
    return {**old, **visit, **kept}


def _cut(option: JSONObject, days: int) -> JSONObject:
    found = objects(option.get("days"))
    return {**option, "days": cast("list[JSON]", found[:days])} if days and days < len(found) else option


def _check_changed(old: JSONObject, new: JSONObject, bounds: Bounds) -> None:
    """A given option may break rules that one of ours keeps: what it broke before, it may break after."""
    count, before = len(objects(new["days"])), len(objects(old["days"]))
    wanted = bounds.days or before
    if count != wanted and not (bounds.grows and not bounds.days):
        raise StageInvalid(f"The option {text_of(new, 'title')!r} must have {wanted} days, and has {count}.")
    visited, after = Counter(map(_key, _visits(old))), Counter(map(_key, _visits(new)))
    _check_places(new, {*bounds.places, *visited})
    if lost := [] if bounds.free or wanted < before else sorted(visited - after):
        raise StageInvalid(f"These visits are left out, though nobody took them out: {lost[:10]}")
    if missing := [each for each in bounds.added if each not in after]:
        raise StageInvalid(f"These places were added, and no day visits them: {missing[:10]}")
    if _is_in_order(old):
        _check_order(new)


def _is_in_order(option: JSONObject) -> bool:
    try:
        _check_order(option)
    except StageInvalid:
        return False
    return True


def _check_places(option: Mapping[str, Any], places: Collection[str]) -> None:
    if unknown := [_key(each) for each in _visits(option) if _key(each) not in places]:
        raise StageInvalid(f"{unknown[0]!r} is not the id of a place of the trip.")


def _check_order(option: Mapping[str, Any]) -> None:
    """Each place once; times that follow one another."""
    seen: set[str] = {""}
    for day in objects(option["days"]):
        last = ""
        for visit in objects(day["items"]):
            identifier, start, end = (text_of(visit, key) for key in ("poi_id", "start", "end"))
            if identifier in seen and identifier:
                raise StageInvalid(f"{identifier!r} is visited twice.")
            if not TIME.fullmatch(start) or not TIME.fullmatch(end):
                raise StageInvalid("Times are written HH:MM.")
            if not last <= start < end:
                raise StageInvalid(f"{start}-{end} does not follow {last or 'in order'}.")
            seen.add(identifier)
            last = end
