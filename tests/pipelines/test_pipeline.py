"""Stages over a scripted model: their order, what is shown while the model writes, what is asked twice, what fails."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from chat.errors import BadProviderReply, NoPlaces
from chat.events import StageFinished, StageItem, StageStarted, TextDelta, TurnEvent
from chat.providers.scripted import Line
from tests.support.trips import answer, option, results, run, visit
from tests.support.virtual_time import virtual

INTENTS = [
    {"intent": "set_city", "action": "set", "value": "Rome"},
    {"intent": "set_days", "action": "set", "value": "1"},
]
POIS = [{"id": "rome-colosseum", "why": "old"}, {"id": "rome-pantheon", "why": "round"}]
NEEDS = [{"description": "Shade", "priority": "low"}]


GOOD = (answer(INTENTS), answer(POIS), answer(NEEDS), answer([option(visit())]))


@virtual
async def test_each_stage_hands_its_result_to_the_next() -> None:
    events, provider, error = await run(*GOOD)
    assert error is None
    assert list(results(events)) == ["intents", "pois", "requirements", "plan"]
    last = json.loads(provider.requests[3].messages[-1].content)
    assert [poi["id"] for poi in last["pois"]] == ["rome-colosseum", "rome-pantheon"]
    assert (last["requirements"], last["days"]) == (NEEDS, "1")
    assert not any(isinstance(each, TextDelta) for each in events)
    finished = [each for each in events if isinstance(each, StageFinished)]
    assert finished[-1].text == "T: S"


@virtual
async def test_schemas_hold_nothing_that_strict_services_refuse() -> None:
    _, provider, _ = await run(*GOOD)
    for request in provider.requests:
        assert request.response_schema is not None
        text = json.dumps(request.response_schema.schema)
        assert not [
            word for word in ('Length"', "maxItems", "minItems", "default", "pattern") if word in text
        ]
        assert '"additionalProperties": false' in text


@virtual
async def test_an_item_is_shown_when_the_next_one_begins() -> None:
    events, _, _ = await run(*GOOD)
    items = [place for place, each in enumerate(events) if isinstance(each, StageItem)]
    finished = next(place for place, each in enumerate(events) if each == _finished(events, "pois"))
    assert len(items) == 2 and items[-1] < finished
    assert [each.item for each in events if isinstance(each, StageItem)] == results(events)["pois"]


def _finished(events: Sequence[TurnEvent], stage: str) -> TurnEvent:
    return next(each for each in events if isinstance(each, StageFinished) and each.stage == stage)


WRONG_PLANS: dict[str, Any] = {
    "a place that is not of the trip": [option(visit("rome-trevi-fountain"))],
    "a place twice": [option(visit(), visit(start="11:00", end="12:00"))],
    "times that overlap": [option(visit(), visit("rome-pantheon", "09:30", "11:00"))],
    "an end before its start": [option(visit(start="12:00", end="11:00"))],
    "no time": [option(visit(start="noon"))],
    "an hour that is none": [option(visit(start="24:00", end="25:00"))],
    "a day that is not the first": [option(visit(), day=2)],
    "no option": [],
    "no days": [{"title": "T", "summary": "S", "days": []}],
    "another key": [{**option(visit()), "price": 7}],
    "a text": "none",
}


@pytest.mark.parametrize("name", WRONG_PLANS)
@virtual
async def test_a_plan_that_does_not_do_is_asked_for_once_more_and_told_why(name: str) -> None:
    events, provider, error = await run(*GOOD[:3], answer(WRONG_PLANS[name]), GOOD[3])
    assert error is None
    assert results(events)["plan"] == [option(visit())]
    assert [each.attempt for each in events if isinstance(each, StageStarted)] == [1, 1, 1, 1, 2]
    assert json.loads(provider.requests[4].messages[-1].content)["problem"]
    _, _, error = await run(*GOOD[:3], answer(WRONG_PLANS[name]))
    assert isinstance(error, BadProviderReply) and "plan" in error.message


@pytest.mark.parametrize("text", ["", "no JSON", '{"items": [', "[]", '{"items": {}}'])
@virtual
async def test_what_is_no_answer_of_the_schema_does_not_do(text: str) -> None:
    _, _, error = await run([text or " "])
    assert isinstance(error, BadProviderReply)


@virtual
async def test_what_is_wrong_is_quoted_in_part() -> None:
    _, provider, error = await run(answer([{"x" * 40_000: 1}]))
    assert isinstance(error, BadProviderReply) and len(error.message) < 1000
    assert len(provider.requests[1].messages[-1].content) < 2000


@virtual
async def test_an_answer_that_does_not_end_is_ended() -> None:
    _, _, error = await run([100_000 * "[", *[100_000 * " "] * 10])
    assert isinstance(error, BadProviderReply) and "characters" in error.message


@virtual
async def test_an_item_is_shown_with_texts_of_a_usual_length() -> None:
    long = [{**POIS[0], "why": "x" * 40_000}, *POIS[1:]]
    events, _, _ = await run(GOOD[0], answer(long), GOOD[1], *GOOD[2:])
    shown = [each.item for each in events if isinstance(each, StageItem)]
    assert max(len(str(each)) for each in shown) < 1500


@virtual
async def test_a_fence_around_the_json_is_taken_off() -> None:
    fenced = ["```json\n", *answer(INTENTS), "\n```"]
    events, _, error = await run(fenced, *GOOD[1:])
    assert error is None and results(events)["intents"] == INTENTS


@virtual
async def test_results_of_an_earlier_turn_are_shown_again_and_not_asked_for() -> None:
    first, _, _ = await run(*GOOD)
    done = {name: value for name, value in results(first).items() if name in ("intents", "pois")}
    events, provider, _ = await run(*GOOD[2:], begun={"done": done})
    assert len(provider.requests) == 2
    assert results(events) == results(first)
    assert [each for each in events if isinstance(each, StageItem)] == [
        each for each in first if isinstance(each, StageItem)
    ]


DAYS = [("99999999999999999999", 30), ("9" * 500, 30), ("31", 30), ("2", 2), ("²", 1), ("0", 1), ("three", 1)]


@pytest.mark.parametrize(("said", "planned"), DAYS, ids=lambda value: str(value)[:20])
@virtual
async def test_a_trip_has_no_more_days_than_can_be_planned(said: str, planned: int) -> None:
    intents = [INTENTS[0], {"intent": "set_days", "action": "set", "value": said}]
    days: list[Any] = [{"day": day, "city": "Rome", "items": []} for day in range(1, planned + 1)]
    events, provider, error = await run(
        answer(intents), *GOOD[1:3], answer([{"title": "T", "summary": "S", "days": days}])
    )
    assert error is None
    assert len(results(events)["plan"][0]["days"]) == planned
    asked = json.loads(provider.requests[3].messages[-1].content)["days"]
    assert asked == (str(planned) if planned > 1 else said)


@pytest.mark.parametrize("stage", [1, 3])
@virtual
async def test_an_answer_without_end_is_left_and_does_not_do(stage: int) -> None:
    endless: Sequence[Line] = [
        '{"items": [',
        *('{"id": "rome-colosseum", "why": "old"},' * 10 for _ in range(2000)),
    ]
    events, provider, error = await run(*GOOD[:stage], endless, endless)
    assert isinstance(error, BadProviderReply) and "characters" in error.message
    assert len(provider.requests) == stage + 2
    assert sum(isinstance(each, StageItem) for each in events) < 4000


@virtual
async def test_a_city_without_places_ends_the_turn() -> None:
    nowhere = [{"intent": "set_city", "action": "set", "value": "Atlantis"}]
    _, provider, error = await run(answer(nowhere))
    assert isinstance(error, NoPlaces) and "Atlantis" in error.message
    assert len(provider.requests) == 1


@virtual
async def test_places_that_the_caller_does_not_want_any_more_are_left_out() -> None:
    intents = [*INTENTS, {"intent": "remove_poi", "action": "remove", "value": "pantheon"}]
    events, _, _ = await run(answer(intents), *GOOD[1:])
    assert [poi["id"] for poi in results(events)["pois"]] == ["rome-colosseum"]
