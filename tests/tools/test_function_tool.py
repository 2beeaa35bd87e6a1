"""Functions become tools: what the model is told of them, and how its arguments are read."""

import threading
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from chat.tools.base import Caller, ToolError
from chat.tools.function_tool import tool


@dataclass
class Place:
    name: str
    stars: int = 0


@tool
async def travel(
    city: str,
    days: Annotated[int, Field(ge=1, le=30, description="How long.")] = 3,
    by: Literal["train", "plane"] | None = None,
    stops: list[Place] = [],  # noqa: B006
    schema: str = "",
) -> str:
    """Plans a trip
    to a city.

    Args:
        city: Where to,
            in English.
        by: The means.
    """
    return f"{city} {days} {by} {[stop.name for stop in stops]} {schema}"


def test_a_tool_has_the_name_and_the_text_of_its_function() -> None:
    assert travel.definition.name == "travel"
    assert travel.definition.description == "Plans a trip to a city."


def test_the_schema_says_what_the_hints_and_the_docstring_say() -> None:
    schema: Any = travel.definition.parameters
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["city"], False)
    properties = schema["properties"]
    assert properties["city"] == {"type": "string", "description": "Where to, in English."}
    assert properties["days"]["description"] == "How long."
    assert (properties["days"]["minimum"], properties["days"]["default"]) == (1, 3)
    assert properties["by"]["description"] == "The means."
    assert "title" not in schema


def test_a_given_description_takes_the_place_of_the_docstring() -> None:
    assert tool(travel.function, description="Travels.").definition.description == "Travels."


def test_a_tool_without_parameters_takes_an_empty_object() -> None:
    @tool
    def ping() -> str:
        """Answers."""
        return "pong"

    assert ping.definition.parameters == {"type": "object", "properties": {}, "additionalProperties": False}
    assert ping.read("") == ping.read(" {} ") == {}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"city": "Rome"}', "Rome 3 None [] "),
        ('{"city": "Rome", "days": "5"}', "Rome 5 None [] "),
        ('{"city": "Rome", "by": "train", "schema": "x"}', "Rome 3 train [] x"),
        ('{"city": "Rome", "stops": [{"name": "Pisa"}]}', "Rome 3 None ['Pisa'] "),
    ],
)
async def test_arguments_arrive_as_their_types(arguments: str, said: str) -> None:
    assert await travel.run(arguments) == said


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("{", "JSON"),
        ("[]", "an object"),
        ("null", "an object"),
        ("{}", "city"),
        ('{"city": 5}', "city"),
        ('{"city": "Rome", "days": 31}', "days"),
        ('{"city": "Rome", "days": "five"}', "days"),
        ('{"city": "Rome", "by": "foot"}', "by"),
        ('{"city": "Rome", "stops": [{}]}', "stops.0.name"),
        ('{"city": "Rome", "town": "x"}', "town"),
    ],
)
async def test_bad_arguments_are_named(arguments: str, named: str) -> None:
    with pytest.raises(ToolError, match=named):
        await travel.run(arguments)


async def test_a_function_that_asks_for_the_caller_is_given_it() -> None:
    @tool
    async def greet(word: str, caller: Caller) -> str:
        """Greets."""
        return f"{word}, {caller.user_id}"

    assert list(greet.definition.parameters["properties"]) == ["word"]  # type: ignore[call-overload,arg-type]
    assert await greet.run('{"word": "Hi"}', Caller("ann")) == "Hi, ann"
    with pytest.raises(ToolError, match="caller"):
        greet.read('{"word": "Hi", "caller": {"user_id": "bob"}}')


async def test_a_function_that_is_not_async_runs_in_a_thread() -> None:
    @tool
    def where() -> int:
        """Says in which thread it runs."""
        return threading.get_ident()

    assert await where.run("{}") != threading.get_ident()


def _untyped(city, days: int = 1) -> str:  # type: ignore[no-untyped-def]
    return f"{city} {days}"


def _open_ended(*cities: str) -> str:
    return str(cities)


def _by_place(city: str, /) -> str:
    return city


@pytest.mark.parametrize("function", [_untyped, _open_ended, _by_place])
def test_a_function_whose_arguments_cannot_be_told_is_no_tool(function: Any) -> None:
    with pytest.raises(TypeError, match="needs a type"):
        tool(function)
