"""Requests are read leniently: `null` for a field that may be left out is as if it were left out, in every body."""

import importlib
from collections.abc import Iterator
from typing import Any

import pydantic
import pytest

from chat.dialects.catalogue import DIALECTS
from chat.errors import ValidationError
from chat.routes.schemas import NewSessionBody
from chat.schemas.fields import validate
from tests.support.source import modules

NEEDED: dict[str, dict[str, Any]] = {
    "StreamBody": {"messages": [{"role": "user", "content": "Hi"}]},
    "HistoryMessage": {"role": "user", "content": "Hi"},
    "MessageBody": {"content": "Hi"},
    "MemberBody": {"role": "viewer"},
    "PlanBody": {"message": "a day in Tokyo"},
    "RerunBody": {"from_stage": "plan"},
    "ClientFunction": {"name": "pick_color"},
    "ClientTool": {"type": "function", "function": {"name": "pick_color"}},
    "ClientToolOutput": {"call_id": "call_1", "output": "red"},
    "ResumeFields": {"turn_id": "t"},
    "SendMessageFields": {"content": "Hi"},
}
"""What a body cannot do without, where there is such a thing."""


EDGES = ("chat.routes", "chat.pubsub", "chat.dialects", "chat.schemas")
DESCRIBING = tuple(f"{each}_schemas" for each in ("shape", "reply", *DIALECTS))


def bodies() -> Iterator[type[pydantic.BaseModel]]:
    """Every schema of a body or a frame. A query string has no null, and what only describes reads nothing."""
    for module in modules("chat"):
        if module.name.startswith(EDGES) and not module.name.endswith(DESCRIBING):
            for value in vars(importlib.import_module(module.name)).values():
                is_schema = isinstance(value, type) and issubclass(value, pydantic.BaseModel)
                if is_schema and value.__module__ == module.name and not value.__name__.endswith("Query"):
                    yield value


OPTIONAL = [
    (body, name) for body in bodies() for name, field in body.model_fields.items() if not field.is_required()
]
REQUIRED = [(body, name) for body in bodies() for name in NEEDED.get(body.__name__, {})]


def test_the_table_sees_bodies_frames_and_what_is_in_them() -> None:
    names = {body.__name__ for body, _ in OPTIONAL}
    assert {
        "NewSessionBody",
        "TurnBody",
        "MessageBody",
        "PlanBody",
        "ClientFunction",
        "SendMessageFields",
    } <= names


@pytest.mark.parametrize(("body", "name"), OPTIONAL, ids=lambda each: getattr(each, "__name__", each))
def test_null_for_an_optional_field_is_as_if_left_out(body: type[pydantic.BaseModel], name: str) -> None:
    needed = NEEDED.get(body.__name__, {})
    read = validate(body, {**needed, name: None})
    assert read.model_dump() == validate(body, needed).model_dump()


@pytest.mark.parametrize(("body", "name"), REQUIRED, ids=lambda each: getattr(each, "__name__", each))
def test_null_for_a_needed_field_is_refused_by_its_name(body: type[pydantic.BaseModel], name: str) -> None:
    with pytest.raises(ValidationError) as refused:
        validate(body, {**NEEDED[body.__name__], name: None})
    assert refused.value.field == name


def test_null_within_free_json_is_kept() -> None:
    free: Any = {"a": None, "temperature": None, "deep": [None, {"b": None}]}
    assert validate(NewSessionBody, {"settings": free}).settings == free
