"""What the trip planner's stand-in changes in a trip that has places and a plan already."""

import copy
import re
from collections.abc import Callable
from typing import Any

from local.model_server.trip_words import DAY, NEEDS, is_meant

PLACES_A_CITY = 4
VISIT = ("start", "end", "poi_id", "name", "note")
TIME = re.compile(r"(\d\d):(\d\d)")
PAUSE, LENGTHS = (
    30,
    (90, 30, 5),
)  # minutes before a further visit, and of it: the longest for which there is time
NOON, MIDNIGHT = 12 * 60, 24 * 60  # minutes
ANY = re.compile(r"\b(place|sight|stop|something|anything)", re.IGNORECASE)
ON_DAY = re.compile(r"(.*) on day (\d+)")

type Asked = dict[str, Any]
type Day = dict[str, Any]


def choices(asked: Asked) -> list[dict[str, str]]:
    """What the message adds by name or kind; else the best known places of each city, up to a few with those that are
    there."""
    candidates: list[dict[str, Any]] = asked["candidates"]
    given: list[dict[str, Any]] = asked.get("pois") or []
    chosen: list[dict[str, Any]] = []
    additions = [each["value"] for each in asked.get("intents") or [] if each["intent"] == "add_poi"]
    for said in additions:
        left = [each for each in candidates if each not in chosen]
        ways = (said, said.split()[-1])  # "Nezu museum", else any museum
        fitting = [each for way in ways for each in left if is_meant(each, way) or ANY.search(way)]
        chosen += fitting[:1]
    for city in dict.fromkeys(each["city"] for each in candidates) if not (additions and given) else ():
        there = [each for each in candidates if each["city"] == city and each not in chosen]
        known = sum(each["city"] == city for each in (*given, *chosen))
        chosen += there[: max(PLACES_A_CITY - known, 0)]
    return [{"id": each["id"], "why": f"A {each['kind']} worth seeing in {each['city']}"} for each in chosen]


def changes(asked: Asked, new_plan: Callable[[Asked], dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each option the days that are different: all of them where there are to be fewer than before."""
    found: list[dict[str, Any]] = []
    for number, option in enumerate(asked["plan"], 1):
        before = [_day(each) for each in option.get("days") or []]
        left = _not_visited(asked, before)
        count = _days_wanted(asked, before, left)
        whole = new_plan({**asked, "days": count})
        after = copy.deepcopy(before) if count >= len(before) else whole["days"]
        if count > len(before):
            more = new_plan({**asked, "pois": left, "days": count - len(before)})["days"]
            after += [
                {**day, "day": len(before) + day["day"], "city": day["city"] or _last_city(before)}
                for day in more
            ]
        _visit_added(asked, after)
        for day in after:
            notes_for(day, asked["requirements"])
        titles = {key: whole[key] if count != len(before) else "" for key in ("title", "summary")}
        if days := [day for day in after if day not in before]:
            found.append({"option": number, **titles, "days": days})
    return found


def notes_for(day: Day, requirements: list[dict[str, Any]]) -> None:
    """What a day needs stands with the visit nearest noon."""
    needs = [need for each in requirements if (need := _need(str(each.get("description")), day["day"]))]
    for visit in day["items"]:
        parts = [part for part in visit["note"].split("; ") if part and part not in NEEDS.values()]
        visit["note"] = "; ".join(parts)
    if day["items"] and needs:
        visit = min(day["items"], key=lambda each: abs(_minutes(each["start"]) - NOON))
        visit["note"] = "; ".join(filter(None, [visit["note"], *dict.fromkeys(needs)]))


def _need(description: str, day: int) -> str:
    """What the requirement needs on a day; "" for nothing."""
    on_day = ON_DAY.fullmatch(description)
    need = on_day[1] if on_day and int(on_day[2][:9]) == day else description
    return need if need in NEEDS.values() else ""


def _day(given: Day) -> Day:
    """A given day with the keys alone that an answer has."""
    items = [{key: str(visit.get(key) or "")[:500] for key in VISIT} for visit in given.get("items") or []]
    return {"day": given["day"], "city": str(given.get("city") or "")[:500], "items": items}


def _not_visited(asked: Asked, days: list[Day]) -> list[dict[str, Any]]:
    visited = {visit["poi_id"] for day in days for visit in day["items"]}
    return [each for each in asked["pois"] if str(each.get("id")) not in visited]


def _days_wanted(asked: Asked, days: list[Day], left: list[dict[str, Any]]) -> int:
    """As many as are said, else a further one for each further city."""
    said = str(asked["days"])
    moves = any(each["intent"] == "set_city" for each in asked["intents"])
    cities = {str(each.get("city")) for each in left} - {each["city"] for each in days}
    return int(said[:9]) if said.isdecimal() else len(days) + (len(cities) if moves else 0)


def _last_city(days: list[Day]) -> str:
    return days[-1]["city"] if days else ""


def _visit_added(asked: Asked, days: list[Day]) -> None:
    """On the day that the message names, else on the emptiest one in the place's city."""
    named = DAY.search(str(asked["message"]))
    for place in _not_visited(asked, days):
        if str(place.get("id")) not in asked.get("added", []) or not days:
            continue
        there = [each for each in days if named and str(each["day"]) == named[1]]
        there = there or [each for each in days if each["city"] == place.get("city")] or days
        items = min(there, key=lambda each: len(each["items"]))["items"]
        start = max((_minutes(each["end"]) for each in items), default=NOON - 180 - PAUSE) + PAUSE
        end = next((start + each for each in LENGTHS if start + each < MIDNIGHT), MIDNIGHT - 1)
        texts = {"poi_id": str(place["id"]), "name": str(place.get("name", "")), "note": ""}
        items.append({"start": _clock(min(start, end - 1)), "end": _clock(end), **texts})


def _minutes(time: str) -> int:
    found = TIME.fullmatch(time)
    return int(found[1]) * 60 + int(found[2]) if found else 0


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
