"""The requirements of a trip that its caller gives: added to, changed, removed, and otherwise as they were."""

from typing import Any

import pytest

from chat.events import JSON
from tests.support.trips import change, intent
from tests.support.virtual_time import virtual

FOOD: dict[str, JSON] = {"description": "Vegetarian food on day 2", "priority": "high", "mine": 1}
SHADE: dict[str, JSON] = {"description": "Shade", "priority": "low"}
STATE: dict[str, JSON] = {
    "pois": [{"id": "x"}],
    "requirements": [FOOD, SHADE],
    "plan": [{"title": "T", "days": [{"day": 1, "city": "Rome", "items": []}]}],
}


def said(description: str, priority: str = "medium") -> dict[str, JSON]:
    return {"description": description, "priority": priority}


def add(value: str) -> Any:
    return intent("add_requirement", value, "add")


def remove(value: str) -> Any:
    return intent("remove_requirement", value, "remove")


# (intents, the model's answer, the requirements afterwards)
CASES: dict[str, tuple[list[Any], list[Any], list[Any]]] = {
    "added": ([add("Quiet")], [said("Quiet")], [FOOD, SHADE, said("Quiet")]),
    "added twice": ([add("Quiet")], [said("Quiet"), said("quiet!", "low")], [FOOD, SHADE, said("Quiet")]),
    "changed": ([add("shade")], [said("SHADE", "high")], [FOOD, {**SHADE, "priority": "high"}]),
    "told again, though nobody asked": ([add("Quiet")], [said("Shade", "high")], [FOOD, SHADE]),
    "forgotten by the model": ([add("Quiet")], [], [FOOD, SHADE]),
    "removed": ([remove("Vegetarian food on day 2")], [], [SHADE]),
    "removed by a word of it": ([remove("vegetarian")], [], [SHADE]),
    "removed by the action": ([intent("add_requirement", "Shade", "remove")], [], [FOOD]),
    "all removed": ([remove("Shade"), remove("vegetarian food")], [], []),
    "removed, and told again": ([remove("Shade"), add("Quiet")], [said("Shade"), said("Quiet")], [FOOD, said("Quiet")]),
    "replaced": ([remove("Shade"), add("Sun")], [said("Sun")], [FOOD, said("Sun")]),
    "removed and added in one": ([remove("Shade"), add("Shade")], [said("Shade", "low")], [FOOD, SHADE]),
    "one that is not there": ([remove("Gluten-free food")], [], [FOOD, SHADE]),
    "none that is named": ([remove("")], [], [FOOD, SHADE]),
    "no word of them": ([intent("remove_poi", "Shade", "remove")], [said("Unasked")], [FOOD, SHADE]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@virtual
async def test_requirements_change_as_the_intents_say(name: str) -> None:
    intents, answered, expected = CASES[name]
    changed = await change(STATE, intents, requirements=answered)
    assert (changed.error, changed.requirements) == (None, expected)


@virtual
async def test_the_model_is_asked_for_requirements_when_some_are_wanted_or_the_trip_is_new() -> None:
    assert "requirements" not in (await change(STATE, [remove("Shade")])).asked
    assert "requirements" not in (await change(STATE, [intent("add_poi", "museum")])).asked
    assert (await change(STATE, [add("Quiet")])).asked["requirements"]["requirements"] == [FOOD, SHADE]
    new = await change({}, [intent("set_city", "Rome", "set")], requirements=[said("Book in advance")])
    assert new.requirements == [said("Book in advance")]


@virtual
async def test_what_could_mean_several_requirements_removes_none() -> None:
    twice: list[JSON] = [said("Vegetarian food on day 1"), said("Vegetarian food on day 2")]
    changed = await change({**STATE, "requirements": twice}, [remove("vegetarian food")])
    assert changed.requirements == twice
    same: list[JSON] = [said("Shade"), said("Shade", "high"), SHADE]
    assert (await change({**STATE, "requirements": same}, [remove("shade")])).requirements == []


@virtual
async def test_requirements_of_another_shape_stay() -> None:
    strange: list[JSON] = [{}, {"description": 5}, {"description": None, "priority": []}, {"text": "x"}]
    changed = await change({**STATE, "requirements": strange}, [add("Quiet")], requirements=[said("Quiet")])
    assert (changed.error, changed.requirements) == (None, [*strange, said("Quiet")])


@virtual
async def test_requirements_can_be_said_before_there_is_a_place() -> None:
    changed = await change(
        {"requirements": [SHADE]}, [remove("Shade"), add("Quiet")], requirements=[said("Quiet")]
    )
    assert changed.error is None
    assert (changed.pois, changed.requirements, changed.plan) == ([], [said("Quiet")], [])
    assert list(changed.asked) == ["intents", "requirements"]
