"""What the model stand-in says when no directive tells it what to say."""

import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from local.model_server import serve
from local.model_server.rules import fill_schema
from tests.support.model_wire import ModelClient, deltas_of, finish_of, model_client, texts_of

DESCRIPTION = "Runs SQL over sales(day, product, region, revenue, units)."


def tools(properties: tuple[str, ...] = ("sql",), description: str = DESCRIPTION) -> Any:
    schema = {"type": "object", "properties": {name: {"type": "string"} for name in properties}}
    function = {"name": "query_data", "description": description, "parameters": schema}
    return [{"type": "function", "function": function}]


@pytest.fixture
async def model() -> AsyncGenerator[ModelClient]:
    async with serve() as url, model_client(url) as client:
        yield client


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Hello", "Hello!"),
        ("hi, there", "Hello!"),
        ("Good morning!", "Hello!"),
        ("Who are you?", "I am the model stand-in"),
        ("Hello, what is your name?", "I am the model stand-in"),
        ("What is the meaning of life?", "I am only a stand-in"),
        ("What's our total revenue?", "I am only a stand-in"),
        ("Tell me about #chunks", "I am only a stand-in"),
    ],
)
async def test_small_talk(model: ModelClient, text: str, said: str) -> None:
    assert (await model.say(text)).startswith(said)


async def test_one_can_watch_an_answer_stream(model: ModelClient) -> None:
    started = time.monotonic()
    texts = texts_of(await model.frames("Hello"))
    assert len(texts) > 5
    assert time.monotonic() - started > (len(texts) - 1) / 30


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("What's our total revenue?", "SELECT SUM(revenue) AS total FROM sales"),
        ("Total of all, please", "SELECT SUM(units) AS total FROM sales"),
        ("What is the average of units?", "SELECT AVG(units) AS average FROM sales"),
        (
            "Top 3 products by revenue",
            "SELECT product, SUM(revenue) AS total FROM sales GROUP BY product ORDER BY total DESC LIMIT 3",
        ),
        (
            "Show the top regions by units",
            "SELECT region, SUM(units) AS total FROM sales GROUP BY region ORDER BY total DESC LIMIT 5",
        ),
    ],
)
async def test_a_question_about_numbers_asks_the_data_tool(
    model: ModelClient, question: str, sql: str
) -> None:
    frames = await model.frames(question, tools=tools())
    calls = [call for delta in deltas_of(frames) for call in delta.get("tool_calls", ())]
    assert (finish_of(frames), calls[0]["function"]["name"]) == ("tool_calls", "query_data")
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"sql": sql}


TABLES = "SQL: orders(day, plant, region, units, revenue), plants(plant, city, capacity), prices(product, unit_price)."


@pytest.mark.parametrize(
    ("question", "sql"),
    [
        ("What is our total revenue?", "SELECT SUM(revenue) AS total FROM orders"),
        (
            "What's our total revenue by region?",
            "SELECT region, SUM(revenue) AS total FROM orders GROUP BY region ORDER BY region",
        ),
        ("The average capacity of a plant?", "SELECT AVG(capacity) AS average FROM plants"),
        ("What is the average unit price?", "SELECT AVG(unit_price) AS average FROM prices"),
        ("How many orders are there?", "SELECT COUNT(*) AS number FROM orders"),
        (
            "Top 2 regions by units",
            "SELECT region, SUM(units) AS total FROM orders GROUP BY region ORDER BY total DESC LIMIT 2",
        ),
        (
            "Top 2 plants by revenue",
            "SELECT plant, SUM(revenue) AS total FROM orders GROUP BY plant ORDER BY total DESC LIMIT 2",
        ),
        (
            "Top plants",
            "SELECT plant, SUM(capacity) AS total FROM plants GROUP BY plant ORDER BY total DESC LIMIT 5",
        ),
    ],
)
async def test_the_words_of_a_question_choose_the_table(model: ModelClient, question: str, sql: str) -> None:
    frames = await model.frames(question, tools=tools(description=TABLES))
    calls = [call for delta in deltas_of(frames) for call in delta.get("tool_calls", ())]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"sql": sql}


async def test_the_sql_goes_where_the_tool_wants_text(model: ModelClient) -> None:
    frames = await model.frames("total?", tools=tools(("question",), ""))
    calls = [call for delta in deltas_of(frames) for call in delta.get("tool_calls", ())]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    assert json.loads(arguments) == {"question": "SELECT SUM(revenue) AS total FROM sales"}


async def test_no_tool_is_called_when_none_may_be(model: ModelClient) -> None:
    frames = await model.frames("What is the total?", tools=tools(), tool_choice="none")
    assert finish_of(frames) == "stop"


@pytest.mark.parametrize(
    ("question", "output", "said"),
    [
        ("What's our total revenue?", '[{"total": 1234.5}]', "The total is 1234.5."),
        ("The average?", "average\n-7", "The average is -7."),
        ("The total?", "no rows", "Here is what the data says: no rows"),
        ("Top 2 products", "tea 5, milk 3", "Here is what the data says: tea 5, milk 3"),
        ("The total by product?", "tea 5, milk 3", "Here is what the data says: tea 5, milk 3"),
        ("The number of orders?", '{"rows":[[7]]}', "The number is 7."),
    ],
)
async def test_what_the_data_tool_found_is_the_answer(
    model: ModelClient, question: str, output: str, said: str
) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "query_data", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": output},
    ]
    assert await model.say("", messages=messages, tools=tools()) == said


async def test_the_tool_is_asked_again_for_the_next_question(model: ModelClient) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "query_data", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "total?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "5"},
        {"role": "assistant", "content": "The total is 5."},
        {"role": "user", "content": "And the average?"},
    ]
    deltas = deltas_of(await model.frames("", messages=messages, tools=tools()))
    assert [call["id"] for delta in deltas for call in delta.get("tool_calls", ()) if "id" in call] == [
        "call_2"
    ]


POI = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 3},
        "kind": {"enum": ["museum", "park"]},
        "lat": {"type": "number"},
        "stars": {"type": "integer", "minimum": 1},
        "open": {"type": ["boolean", "null"]},
        "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    },
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {}),
        ({"type": "string"}, "example"),
        ({"type": "string", "title": "City"}, "City"),
        ({"const": 5}, 5),
        ({"type": "null"}, None),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [1, 1]),
        (POI, {"name": "example", "kind": "museum", "lat": 1, "stars": 1, "open": True, "note": None}),
        (
            {"$defs": {"A": {"type": "boolean"}}, "type": "array", "items": {"$ref": "#/$defs/A"}},
            [True],
        ),
    ],
)
def test_a_schema_is_filled(schema: dict[str, Any], value: object) -> None:
    assert fill_schema(schema, schema) == value


async def test_a_wanted_schema_is_answered_with_json(model: ModelClient) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "poi", "schema": POI}}
    assert json.loads(await model.say("Plan a trip", response_format=wanted))["kind"] == "museum"


@pytest.mark.parametrize("reference", ["#", "#/$defs/missing"])
async def test_a_schema_that_cannot_be_filled_is_400(model: ModelClient, reference: str) -> None:
    schema = {"type": "object", "properties": {"child": {"$ref": reference}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "tree", "schema": schema}}
    async with model.post("Plan a trip", response_format=wanted) as reply:
        assert reply.status == 400


@pytest.mark.parametrize("days", ["99999999999999999999", "9" * 5000, "²"])
async def test_a_plan_of_any_number_of_days_is_short(model: ModelClient, days: str) -> None:
    asked = json.dumps({"message": "a trip", "days": days, "pois": [{"id": "x"}], "requirements": []})
    wanted = {"type": "json_schema", "json_schema": {"name": "stage_plan", "schema": {}}}
    async with model.post(asked, response_format=wanted, stream=False) as reply:
        said = (await reply.json())["choices"][0]["message"]["content"]
    assert len(json.loads(said)["items"][0]["days"]) in (1, 30)


@pytest.mark.parametrize(
    "kind", [{"type": "array", "minItems": 10**12}, {"type": "string", "minLength": 10**12}]
)
async def test_a_schema_that_asks_for_too_much_is_400(model: ModelClient, kind: dict[str, object]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": kind}}
    async with model.post("Plan a trip", response_format=wanted) as reply:
        assert (reply.status, "1000" in await reply.text()) == (400, True)


async def test_an_answer_in_one_piece_has_an_end(model: ModelClient) -> None:
    async with model.post("#chunks=1000000 #size=1000000", stream=False) as reply:
        assert (reply.status, "stream" in await reply.text()) == (400, True)
