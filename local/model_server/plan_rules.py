"""Answers for the stages of Parley's trip planner, made from what the prompt says."""

import re
from typing import Any

import orjson

from local.model_server.chat_request import ChatRequest

TO = re.compile(r"\b(?:trip|travel|go|visit|days?|week(?:end)?)\b.*?\b(?:to|in)\s+(.+)", re.IGNORECASE)
CITY = re.compile(r"[A-Z][\w'.-]*(?: (?:de |of )?[A-Z][\w'.-]*)*")
DAYS = re.compile(r"(\d+)[ -]days?", re.IGNORECASE)
NEEDS = {"vegetarian": "Vegetarian food", "wheelchair": "Wheelchair access", "children": "Suits children"}
INVALID = re.compile(r"#invalid(_once)?=(\w+)")
PLACES_A_CITY = 4
OPENS = 9  # o'clock
LONGEST = 30  # days; of a message that asks for more, as many are planned


def stage_answer(request: ChatRequest, name: str) -> str | None:
    """The JSON that a stage wants; None for another schema. `#invalid=plan` in the user's message spoils that stage,
    `#invalid_once=plan` only until it is asked again."""
    stage = name.removeprefix("stage_")
    if name == stage or stage not in STAGES:
        return None
    try:
        asked = orjson.loads(request.last_user_text)
    except ValueError:
        return None
    spoiled = INVALID.search(str(asked.get("message")))
    if spoiled and spoiled[2] == stage and not (spoiled[1] and "problem" in asked):
        return '{"items": [{"spoiled": true}]}'
    return orjson.dumps({"items": STAGES[stage](asked)}).decode()


def _intents(asked: dict[str, Any]) -> list[dict[str, str]]:
    message = str(asked["message"])
    found: list[dict[str, str]] = []
    if days := DAYS.search(message):
        found.append({"intent": "set_days", "action": "set", "value": days[1]})
    if place := TO.search(message):
        found += [{"intent": "set_city", "action": "set", "value": city} for city in CITY.findall(place[1])]
    for word, need in NEEDS.items():
        if word in message.lower():
            found.append({"intent": "add_requirement", "action": "add", "value": need})
    return found or [{"intent": "other", "action": "none", "value": ""}]


def _pois(asked: dict[str, Any]) -> list[dict[str, str]]:
    chosen: list[dict[str, str]] = []
    for city in dict.fromkeys(each["city"] for each in asked["candidates"]):
        there = [each for each in asked["candidates"] if each["city"] == city][:PLACES_A_CITY]
        chosen += [{"id": each["id"], "why": f"A {each['kind']} worth seeing in {city}"} for each in there]
    return chosen


def _requirements(asked: dict[str, Any]) -> list[dict[str, str]]:
    needs = [each["value"] for each in asked["intents"] if each["intent"] == "add_requirement"]
    return [{"description": each, "priority": "high"} for each in needs] or [
        {"description": "Short ways between the places of a day", "priority": "medium"}
    ]


def _plan(asked: dict[str, Any]) -> list[dict[str, Any]]:
    pois: list[dict[str, Any]] = asked["pois"]
    count = _days(str(asked["days"])) or min(max(1, len(pois) // 4), LONGEST)
    cities = list(dict.fromkeys(_city(each) for each in pois))
    days = [_day(number, count, cities, pois) for number in range(1, count + 1)]
    where = " and ".join(cities)
    return [
        {"title": f"{count} days in {where}", "summary": f"The best of {where}, day by day.", "days": days}
    ]


def _days(text: str) -> int:
    """0 for what is no number."""
    return min(int(text[:9]), LONGEST) if text.isdecimal() else 0


def _city(place: dict[str, Any]) -> str:
    """A caller may give places of its own, with whatever it knows of them."""
    return str(place.get("city") or "somewhere")


def _day(number: int, count: int, cities: list[str], pois: list[dict[str, Any]]) -> dict[str, Any]:
    """Cities follow one another; the places of a city are spread over its days."""
    city = cities[(number - 1) * len(cities) // count] if cities else ""
    same = [day for day in range(1, count + 1) if cities and cities[(day - 1) * len(cities) // count] == city]
    there = [each for each in pois if _city(each) == city][same.index(number) :: len(same)] if same else []
    items = [
        {
            "start": f"{OPENS + 2 * place:02d}:00",
            "end": f"{OPENS + 2 * place + 1:02d}:30",
            "poi_id": str(each.get("id", "")),
            "name": str(each.get("name", "")),
            "note": "",
        }
        for place, each in enumerate(there[:5])
    ]
    return {"day": number, "city": city, "items": items}


STAGES = {"intents": _intents, "pois": _pois, "requirements": _requirements, "plan": _plan}
