"""The state of a trip as callers may give it: what is wrong is named, and the rest is taken as it came."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from chat.errors import ValidationError
from chat.schemas.fields import validate
from chat.schemas.trip_state import Place, PlanOption, Requirement


class Body(BaseModel):
    pois: Annotated[list[Place], Field(max_length=200)] = []
    requirements: list[Requirement] = []
    plan: list[PlanOption] = []


WRONG: list[tuple[Any, str]] = [
    ({"pois": "Tokyo"}, "pois"),
    ({"pois": [1]}, "pois.0"),
    ({"pois": [{}, {"name": 5}]}, "pois.1.name"),
    ({"pois": [{"id": []}]}, "pois.0.id"),
    ({"pois": [{"id": True}]}, "pois.0.id"),
    ({"pois": [{"id": 1.5}]}, "pois.0.id"),
    ({"pois": [{"id": "x" * 256}]}, "pois.0.id"),
    ({"pois": [{"city": ["Rome"]}]}, "pois.0.city"),
    ({"pois": [{}] * 201}, "pois"),
    ({"requirements": [{"description": {}}]}, "requirements.0.description"),
    ({"requirements": [{"priority": 1}]}, "requirements.0.priority"),
    ({"plan": [{"days": "three"}]}, "plan.0.days"),
    ({"plan": [{"days": [1]}]}, "plan.0.days.0"),
    ({"plan": [{"days": [{"items": {}}]}]}, "plan.0.days.0.items"),
    ({"plan": [{"days": [{"items": [{"start": 9}]}]}]}, "plan.0.days.0.items.0.start"),
    ({"plan": [{"title": 1}]}, "plan.0.title"),
]


@pytest.mark.parametrize(("body", "field"), WRONG, ids=lambda value: str(value)[:40])
def test_what_has_a_wrong_type_is_named(body: Any, field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate(Body, body)
    assert refused.value.field == field


RIGHT: list[Any] = [
    {
        "pois": [{"id": 7, "name": None, "lat": "x", "mine": {"a": [1]}}, {}],
        "requirements": [{}],
        "plan": [{}],
    },
    {"requirements": [{"description": "Shade", "colour": 7}]},
    {
        "plan": [
            {
                "days": [{"day": "one", "items": [{"poi_id": None, "done": True}]}, {"items": None}],
                "price": 1.5,
            }
        ]
    },
]


@pytest.mark.parametrize("body", RIGHT, ids=lambda value: str(value)[:40])
def test_what_is_left_out_or_of_the_callers_own_is_taken_as_it_came(body: Any) -> None:
    assert validate(Body, body).model_dump(exclude_unset=True) == body
