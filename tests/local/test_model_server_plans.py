"""What the stand-in for the model says to the trip planner about a trip that is there already."""

import json
from typing import Any

import pytest

from local.model_server import serve
from local.model_server.trip_words import intents
from tests.support.model_wire import model_client

SENSO = {"name": "Senso-ji", "kind": "temple", "city": "Tokyo"}
NEZU = {"name": "Nezu Museum", "kind": "museum", "city": "Tokyo"}
GIVEN: dict[str, Any] = {
    "days": 3,
    "pois": [SENSO, NEZU],
    "requirements": [{"description": "Vegetarian food"}, {"description": "Suits children on day 2"}],
}

SAID: list[tuple[str, list[str]]] = [
    ("plan 3 days in Tokyo", ["set_days 3", "set_city Tokyo"]),
    ("plan a 3 day trip to Tokyo and Kyoto.", ["set_days 3", "set_city Tokyo", "set_city Kyoto"]),
    ("add a museum", ["add_poi museum"]),
    ("Please add the Tokyo Tower to day 2, too!", ["add_poi Tokyo Tower"]),
    ("add a museum and a park", ["add_poi museum", "add_poi park"]),
    ("add a castle in Kyoto", ["set_city Kyoto", "add_poi castle"]),
    ("make day 2 vegetarian", ["add_requirement Vegetarian food on day 2"]),
    ("make it vegetarian and add a market", ["add_requirement Vegetarian food", "add_poi market"]),
    ("add vegetarian food", ["add_requirement Vegetarian food"]),
    ("remove the requirement", ["remove_requirement Suits children on day 2"]),
    (
        "drop all requirements",
        ["remove_requirement Vegetarian food", "remove_requirement Suits children on day 2"],
    ),
    ("remove the vegetarian requirement", ["remove_requirement Vegetarian food"]),
    ("no longer vegetarian, please", ["remove_requirement Vegetarian food"]),
    ("remove wheelchair access", ["remove_requirement Wheelchair access"]),
    ("remove the Nezu Museum", ["remove_poi Nezu Museum"]),
    ("drop the temples", ["remove_poi Senso-ji"]),
    ("remove the zoo", ["remove_poi zoo"]),
    ("add a day", ["set_days 4"]),
    ("add 2 more days in Kyoto", ["set_days 5", "set_city Kyoto"]),
    ("make it 2 days", ["set_days 2"]),
    ("thank you!", ["other "]),
    ("add", ["other "]),
]


@pytest.mark.parametrize(("message", "found"), SAID, ids=lambda value: str(value))
def test_a_message_has_intents(message: str, found: list[str]) -> None:
    assert [f"{each['intent']} {each['value']}" for each in intents({"message": message, **GIVEN})] == found


def test_without_a_trip_nothing_is_removed_by_a_guess() -> None:
    assert intents({"message": "remove the requirement"})[0]["value"] == "requirement"


async def answered(stage: str, **asked: Any) -> list[Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": f"stage_{stage}", "schema": {}}}
    async with serve() as url, model_client(url) as client:
        return json.loads(await client.say(json.dumps(asked), response_format=wanted))["items"]


def visit(poi: str, start: str, end: str, note: str = "") -> dict[str, str]:
    return {"start": start, "end": end, "poi_id": poi, "name": poi.upper(), "note": note}


PLAN: list[Any] = [
    {
        "title": "T",
        "days": [
            {"day": 1, "city": "Rome", "items": [visit("a", "09:00", "10:30"), visit("b", "11:00", "12:30")]},
            {"day": 2, "city": "Rome", "items": [visit("c", "09:00", "10:30", "Vegetarian food")]},
        ],
    }
]
POIS: list[Any] = [{"id": each, "name": each.upper(), "city": "Rome"} for each in "abcd"]
ASKED: dict[str, Any] = {
    "days": "",
    "pois": POIS,
    "requirements": [],
    "intents": [],
    "added": [],
    "plan": PLAN,
}


async def test_what_is_added_is_visited_on_the_emptiest_day_or_the_one_that_is_named() -> None:
    for message, number, start in (("add d", 2, "11:00"), ("add d to day 1", 1, "13:00")):
        state = {**ASKED, "added": ["d"], "requirements": [{"description": "Vegetarian food on day 2"}]}
        [change] = await answered("plan", message=message, **state)
        day = next(each for each in change["days"] if each["day"] == number)
        assert (day["items"][-1]["poi_id"], day["items"][-1]["start"]) == ("d", start)


async def test_a_need_stands_with_the_visit_nearest_noon_of_its_day_until_it_is_removed() -> None:
    need = {**ASKED, "requirements": [{"description": "Vegetarian food on day 1"}]}
    [change] = await answered("plan", message="make day 1 vegetarian", **need)
    notes = [[each["note"] for each in day["items"]] for day in change["days"]]
    assert (notes, change["title"]) == ([["", "Vegetarian food"], [""]], "")


async def test_where_nothing_changes_there_are_no_changes() -> None:
    same = {**ASKED, "requirements": [{"description": "Vegetarian food on day 2"}]}
    assert await answered("plan", message="add a bowling alley", **same) == []


async def test_further_days_come_after_the_others_and_fewer_are_planned_anew() -> None:
    need = {"requirements": [{"description": "Vegetarian food on day 2"}]}
    [longer] = await answered("plan", message="add a day", **{**ASKED, **need, "days": "3"})
    assert [(each["day"], each["items"][0]["poi_id"]) for each in longer["days"]] == [(3, "d")]
    [shorter] = await answered("plan", message="make it 1 day", **{**ASKED, "days": "1"})
    assert [len(each["items"]) for each in shorter["days"]] == [4]


async def test_of_candidates_those_are_chosen_that_the_message_adds() -> None:
    candidates = [{"id": each["name"], **each} for each in (SENSO, NEZU)]
    one = [{"intent": "add_poi", "action": "add", "value": "Nezu museum"}]
    chosen = await answered("pois", message="x", candidates=candidates, intents=one, pois=[SENSO])
    assert [each["id"] for each in chosen] == ["Nezu Museum"]
    none = [{"intent": "add_poi", "action": "add", "value": "bowling alley"}]
    assert await answered("pois", message="x", candidates=candidates, intents=none, pois=[SENSO]) == []
    any_place = [{"intent": "add_poi", "action": "add", "value": "one more sight"}]
    chosen = await answered("pois", message="x", candidates=candidates, intents=any_place, pois=[SENSO])
    assert [each["id"] for each in chosen] == ["Senso-ji"]
