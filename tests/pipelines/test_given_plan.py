"""The plan of a trip that its caller gives: the model says what changes, and everything else stays as it was."""

import copy
from typing import Any

import pytest

from chat.errors import BadProviderReply
from chat.events import JSON
from tests.support.trips import change, day, intent, visit
from tests.support.virtual_time import virtual

COLOSSEUM, PANTHEON, FORUM = "rome-colosseum", "rome-pantheon", "rome-roman-forum"
POIS: list[Any] = [
    {"id": COLOSSEUM, "name": "Colosseum", "city": "Rome"},
    {"id": PANTHEON, "name": "Pantheon", "city": "Rome"},
    {"id": FORUM, "name": "Roman Forum", "city": "Rome"},
]
LUNCH: dict[str, JSON] = {"start": "12:00", "end": "13:00", "poi_id": "", "name": "Lunch", "note": ""}
DAY_1 = day(1, visit(COLOSSEUM, name="Colosseum", mine=1), LUNCH)
DAY_2: Any = {**day(2, visit(PANTHEON, name="Pantheon")), "weather": "fine"}
FIRST: Any = {"title": "T", "summary": "S", "days": [DAY_1, DAY_2], "price": 7}
OTHER: Any = {"title": "U", "summary": "V", "days": [day(1, visit(FORUM))]}
STATE: Any = {"pois": POIS, "requirements": [], "plan": [FIRST, OTHER]}

VEGETARIAN = intent("add_requirement", "Vegetarian food on day 2", "add")
LATER = intent("change_plan", "start later", "set")
FLORENCE = intent("set_city", "Florence", "set")
THREE_DAYS = intent("set_days", "3", "set")


def changes(*days: Any, option: int = 1, title: str = "", summary: str = "") -> Any:
    return {"option": option, "title": title, "summary": summary, "days": list(days)}


NOTED = day(2, visit(PANTHEON, note="Vegetarian"))


@virtual
async def test_a_day_that_changes_is_put_into_the_plan_and_all_else_stays() -> None:
    changed = await change(STATE, [VEGETARIAN], plan=[changes(NOTED)])
    expected = copy.deepcopy(STATE["plan"])
    expected[0]["days"][1]["items"][0]["note"] = "Vegetarian"
    assert (changed.error, changed.plan) == (None, expected)
    assert changed.asked["plan"]["plan"] == STATE["plan"]
    assert changed.asked["plan"]["intents"] == [VEGETARIAN]


@virtual
async def test_titles_change_when_they_are_said() -> None:
    changed = await change(STATE, [LATER], plan=[changes(title="New", option=2), changes(summary="Late")])
    assert [(each["title"], each["summary"]) for each in changed.plan] == [("T", "Late"), ("New", "V")]
    assert changed.plan[1]["days"] == OTHER["days"]


@virtual
async def test_an_answer_without_changes_leaves_the_plan_as_it_was() -> None:
    changed = await change(STATE, [VEGETARIAN])
    assert (changed.error, changed.plan) == (None, STATE["plan"])


# (intents, the model's changes, what the turn fails with when the model stays with them)
REFUSED: dict[str, tuple[list[Any], list[Any], str]] = {
    "a visit is left out": ([VEGETARIAN], [changes(day(1, visit(COLOSSEUM)))], "Lunch"),
    "a day is emptied": ([VEGETARIAN], [changes(day(2))], PANTHEON),
    "a day is emptied for another city": ([FLORENCE], [changes(day(2), day(3))], PANTHEON),
    "a place that is not of the trip": ([LATER], [changes(day(2, visit("rome-trevi-fountain")))], "trevi"),
    "a place that another day visits": ([LATER], [changes(day(2, visit(COLOSSEUM)))], "twice"),
    "times out of order": ([LATER], [changes(day(2, visit(PANTHEON, "10:00", "09:00")))], "follow"),
    "no time": ([LATER], [changes(day(2, visit(PANTHEON, "noon")))], "HH:MM"),
    "a further day that nobody wants": ([VEGETARIAN], [changes(day(3))], "2"),
    "a gap between the days": ([LATER], [changes(day(4))], "gap"),
    "a day before the first": ([LATER], [changes(day(0))], "gap"),
    "an option that is not there": ([LATER], [changes(option=3)], "option 3"),
    "the option before the first": ([LATER], [changes(option=0)], "option 0"),
    "fewer days than are wanted": ([THREE_DAYS], [], "3 days"),
}


@pytest.mark.parametrize("name", REFUSED)
@virtual
async def test_changes_that_do_not_do_are_asked_for_once_more(name: str) -> None:
    intents, wrong, problem = REFUSED[name]
    changed = await change(STATE, intents, plan=wrong)
    assert isinstance(changed.error, BadProviderReply) and problem in changed.error.message
    assert problem in changed.asked["plan"]["problem"]
    right = (
        [changes(day(3)), changes(day(2), day(3), option=2)] if name == "fewer days than are wanted" else []
    )
    again = await change(STATE, intents, plan=iter([wrong, right]))
    assert again.error is None


@virtual
async def test_a_visit_keeps_its_name_and_what_its_caller_knows_of_it() -> None:
    moved = day(1, visit(COLOSSEUM, "10:00", "11:00", name="Coliseum"), {**LUNCH, "note": "Pizza"})
    changed = await change(STATE, [LATER], plan=[changes(moved)])
    assert changed.plan[0]["days"][0]["items"] == [
        visit(COLOSSEUM, "10:00", "11:00", name="Colosseum", mine=1),
        {**LUNCH, "note": "Pizza"},
    ]


@virtual
async def test_a_note_that_is_longer_than_a_model_may_write_stays() -> None:
    long: Any = {**FIRST, "days": [DAY_1, day(2, visit(PANTHEON, note="x" * 501))]}
    changed = await change({**STATE, "plan": [long]}, [VEGETARIAN], plan=[changes(NOTED)])
    assert changed.plan == [long]


@virtual
async def test_days_can_be_swapped() -> None:
    swapped = changes(day(1, visit(PANTHEON)), day(2, visit(COLOSSEUM), LUNCH))
    changed = await change(STATE, [LATER], plan=[swapped])
    items = [[each["name"] for each in one["items"]] for one in changed.plan[0]["days"]]
    assert items == [["Pantheon"], ["Colosseum", "Lunch"]]
    assert changed.plan[0]["days"][1]["weather"] == "fine"  # of the day, not of its visits


@virtual
async def test_a_place_that_is_taken_out_is_visited_no_more() -> None:
    changed = await change(STATE, [intent("remove_poi", "pantheon", "remove")])
    assert changed.error is None
    assert changed.plan == [{**FIRST, "days": [DAY_1, {**DAY_2, "items": []}]}, OTHER]


@virtual
async def test_a_place_that_is_added_is_visited() -> None:
    trevi, added = "rome-trevi-fountain", [intent("add_poi", "Trevi Fountain", "add")]
    chosen = [{"id": trevi, "why": "water"}]
    forgotten = await change(STATE, added, pois=chosen)
    assert isinstance(forgotten.error, BadProviderReply) and trevi in forgotten.error.message
    assert forgotten.asked["plan"]["added"] == [trevi]
    visited = [
        changes(day(n, *items, visit(trevi, "15:00", "16:00")), option=o) for o, n, items in PLACES_FOR_IT
    ]
    changed = await change(STATE, added, pois=chosen, plan=visited)
    assert changed.error is None
    assert [each["days"][-1]["items"][-1]["poi_id"] for each in changed.plan] == [trevi, trevi]


PLACES_FOR_IT: list[Any] = [(1, 2, [visit(PANTHEON)]), (2, 1, [visit(FORUM)])]


@virtual
async def test_a_place_of_the_trip_that_no_day_visits_can_be_added_to_the_plan() -> None:
    state = {**STATE, "plan": [FIRST]}
    added = [intent("add_poi", "roman forum", "add")]
    assert (await change(state, added)).asked["plan"]["added"] == [FORUM]
    both = day(2, visit(PANTHEON), visit(FORUM, "11:00", "12:00"))
    changed = await change(state, added, plan=[changes(both)])
    assert (changed.error, changed.pois, "pois" in changed.asked) == (None, POIS, False)


@virtual
async def test_a_trip_gets_shorter_and_longer() -> None:
    shorter = await change(STATE, [intent("set_days", "1", "set")])
    assert shorter.plan == [{**FIRST, "days": [DAY_1]}, OTHER]
    more = [changes(day(2), day(3), option=2), changes(day(3, visit(FORUM)))]
    longer = await change(STATE, [THREE_DAYS], plan=more)
    assert [len(each["days"]) for each in longer.plan] == [3, 3]
    assert longer.plan[0]["days"][:2] == FIRST["days"]


@virtual
async def test_no_visit_is_lost_to_another_city_or_to_further_days() -> None:
    state = {**STATE, "plan": [FIRST]}
    grown = changes(day(3, visit(FORUM)))
    for intents in ([FLORENCE], [THREE_DAYS]):
        assert (await change(state, intents, plan=[grown])).plan == [
            {**FIRST, "days": [DAY_1, DAY_2, *grown["days"]]}
        ]
        forgot = await change(state, intents, plan=[grown, changes(day(2))])
        assert PANTHEON in str(forgot.error)


@virtual
async def test_one_of_two_visits_that_are_alike_is_missed() -> None:
    two_lunches = {**FIRST, "days": [day(1, LUNCH), day(2, {**LUNCH, "mine": 2})]}
    forgot = await change({**STATE, "plan": [two_lunches]}, [VEGETARIAN], plan=[changes(day(2))])
    assert "Lunch" in str(forgot.error)
    moved = changes(day(2, {**LUNCH, "start": "12:30"}))
    changed = await change({**STATE, "plan": [two_lunches]}, [VEGETARIAN], plan=[moved])
    assert changed.plan[0]["days"] == [day(1, LUNCH), day(2, {**LUNCH, "mine": 2, "start": "12:30"})]


@pytest.mark.parametrize("strange", [{"days": "x"}, {}, {"title": 1, "days": [None]}])
@virtual
async def test_an_option_without_days_stays_beside_one_that_has_some(strange: Any) -> None:
    changed = await change({**STATE, "plan": [strange, FIRST]}, [VEGETARIAN], plan=[changes(NOTED, option=2)])
    assert (changed.error, changed.plan[0]) == (None, strange)
    shorter = await change({**STATE, "plan": [strange, FIRST]}, [intent("set_days", "1")])
    assert shorter.plan == [strange, {**FIRST, "days": [DAY_1]}]


@virtual
async def test_a_visit_may_be_left_out_when_the_message_changes_the_plan() -> None:
    changed = await change(STATE, [LATER], plan=[changes(day(2))])
    assert (changed.error, changed.plan[0]["days"][1]["items"]) == (None, [])


# What a page may send that no plan of ours looks like, and what becomes of it when day 2 gets a note.
STRANGE: dict[str, Any] = {
    "a place that is not of the trip": visit("gone", name="Gone"),
    "a place without an id": {"name": "Market"},
    "no name and no id": {"start": "08:00"},
    "an id of another type": {"poi_id": ["x"], "name": "List"},
    "times of another form": {"poi_id": COLOSSEUM, "start": "9am", "end": "noon"},
    "the same place again": visit(PANTHEON),
    "more than a model may write": visit("gone", start="x" * 5000),
}


@pytest.mark.parametrize("name", STRANGE)
@virtual
async def test_strange_visits_stay_as_they_are(name: str) -> None:
    strange = {**FIRST, "days": [day(1, STRANGE[name]), DAY_2]}
    changed = await change({**STATE, "plan": [strange]}, [VEGETARIAN], plan=[changes(NOTED)])
    assert changed.error is None
    assert changed.plan[0]["days"][0] == strange["days"][0]
    assert changed.plan[0]["days"][1]["items"][0]["note"] == "Vegetarian"


@virtual
async def test_a_day_of_strange_visits_can_be_changed_without_losing_one() -> None:
    strange = {
        **FIRST,
        "days": [day(1, visit("gone", "9am", "10am", name="Gone", mine=1), {"name": "Market"})],
    }
    state = {**STATE, "plan": [strange]}
    kept = day(1, visit("gone", "9am", "10am"), visit("", "", "", name="Market"))
    assert (await change(state, [VEGETARIAN], plan=[changes(kept)])).error is None
    lost = day(1, visit("gone", "9am", "10am"))
    assert "Market" in str((await change(state, [VEGETARIAN], plan=[changes(lost)])).error)


@virtual
async def test_the_days_of_a_given_plan_are_numbered_and_its_visits_find_their_places() -> None:
    days = [
        {"day": 7, "items": [{"name": "pantheon"}, {"poi_id": "old", "name": "Colosseum"}]},
        {"items": None},
    ]
    changed = await change({**STATE, "plan": [{"days": days}]}, [VEGETARIAN])
    first, second = changed.plan[0]["days"]
    assert (first["day"], second) == (1, {"day": 2, "items": []})
    assert [each["poi_id"] for each in first["items"]] == [PANTHEON, COLOSSEUM]


@virtual
async def test_a_place_that_gets_its_id_now_is_found_by_its_visits() -> None:
    state = {
        **STATE,
        "pois": [{"name": "Market", "city": "Rome"}],
        "plan": [{"days": [{"items": [{"name": "Market"}]}]}],
    }
    changed = await change(state, [VEGETARIAN])
    assert [each["id"] for each in changed.pois] == ["rome-market"]
    assert changed.plan[0]["days"][0]["items"] == [{"name": "Market", "poi_id": "rome-market"}]


@pytest.mark.parametrize(
    "plan", [[], [{}], [{"title": "T"}], [{"days": []}], [{"days": "x"}], [{"days": [1]}], "x", [7]]
)
@virtual
async def test_where_no_day_is_planned_yet_all_of_them_are(plan: Any) -> None:
    whole = {"title": "N", "summary": "", "days": [day(1, visit(COLOSSEUM))]}
    changed = await change({**STATE, "plan": plan}, [VEGETARIAN], plan=[whole])
    assert (changed.error, changed.plan) == (None, [whole])


@virtual
async def test_two_hundred_places_in_one_day_are_kept() -> None:
    places: list[Any] = [{"id": f"p{n}", "name": f"P {n}", "city": "Rome"} for n in range(200)]
    visits = [visit(f"p{n}", name=f"P {n}") for n in range(200)]
    state = {**STATE, "pois": places, "plan": [{"title": "T", "days": [day(1, *visits)]}]}
    noted = [{**each, "note": "Vegetarian"} for each in visits]
    changed = await change(state, [VEGETARIAN], plan=[changes(day(1, *noted))])
    assert (changed.error, changed.pois) == (None, places)
    assert changed.plan[0]["days"][0]["items"] == noted
    assert len(changed.asked["plan"]["pois"]) == 200
