"""Answers for the stages of Parley's trip planner, made from what the prompt says."""

import re
from typing import Any

import orjson

from local.model_server.chat_request import ChatRequest
from local.model_server.plan_changes import Asked, changes, choices, notes_for
from local.model_server.trip_words import intents

INVALID = re.compile(r"#invalid(_once)?=(\w+)")
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


def _requirements(asked: Asked) -> list[dict[str, str]]:
    needs = [each["value"] for each in asked["intents"] if each["intent"] == "add_requirement"]
    return [{"description": each, "priority": "high"} for each in needs]


def _plan(asked: Asked) -> list[dict[str, Any]]:
    if asked.get("plan"):
        return changes(asked, _new_plan)
    return [_new_plan(asked)]


def _new_plan(asked: Asked) -> dict[str, Any]:
    pois: list[dict[str, Any]] = asked["pois"]
    count = _days(str(asked["days"])) or min(max(1, len(pois) // 4), LONGEST)
    cities = list(dict.fromkeys(_city(each) for each in pois))
    days = [_day(number, count, cities, pois) for number in range(1, count + 1)]
    for day in days:
        notes_for(day, asked["requirements"])
    where = " and ".join(cities)
    return {"title": f"{count} days in {where}", "summary": f"The best of {where}, day by day.", "days": days}


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


STAGES = {"intents": intents, "pois": choices, "requirements": _requirements, "plan": _plan}
