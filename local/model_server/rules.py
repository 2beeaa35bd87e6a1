"""Answers without directives: it greets, names itself, asks a data tool for numbers, and fills JSON schemas.

Simple on purpose: it stands in for the service, not for a model's wit.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from local.model_server.answers import Answer, calls_before, pieces
from local.model_server.chat_request import ChatRequest
from local.model_server.directives import ToolOrder
from local.model_server.plan_rules import stage_answer
from local.model_server.problems import Problem

STAGE_PACE = 120.0  # JSON is not read as it comes
MOST = 1000  # items or characters that a schema may ask for at least
PACE = 30.0  # deltas a second, so that one can watch it stream
DATA_TOOL = "query_data"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TABLE = re.compile(r"\b(\w+)\((\w+(?:, ?\w+)+)\)")  # `sales(day, product, revenue)` in a tool's description

GREETING = "Hello! I am the model stand-in of Parley's local stack. What would you like to know?"
NAME = "I am the model stand-in of Parley's local stack: no language model, only a few rules that answer like one."
OTHERWISE = (
    "I am only a stand-in for a model, so I have no real answer to that. Ask me for a total, an average or a top "
    "list, or give me directives such as #chunks=20 #rate=10."
)


def rule_answer(request: ChatRequest) -> Answer:
    """The first rule that has something to say."""
    schema = _wanted_schema(request)
    if schema is not None:
        name = str(request.body["response_format"]["json_schema"].get("name"))
        if staged := stage_answer(request, name):
            return Answer(pieces(staged), rate=STAGE_PACE)
        return Answer(pieces(_filled(schema)), rate=PACE)
    return _data_answer(request) or Answer(_words(_small_talk(request.last_user_text)), rate=PACE)


def _words(text: str) -> list[str]:
    return re.findall(r"\S+\s*", text)


def _small_talk(text: str) -> str:
    for pattern, say in SMALL_TALK:
        if re.search(pattern, text, re.IGNORECASE):
            return say
    return OTHERWISE


SMALL_TALK = [
    (r"\b(who|what) are you\b|\byour name\b|\bwhich model\b|\bwhat model\b", NAME),
    (r"^\W*(hello|hi|hey|good (morning|afternoon|evening))\b", GREETING),
]


def _data_answer(request: ChatRequest) -> Answer | None:
    """A call of the data tool, and, when it has answered, a sentence with what it found."""
    question = request.last_user_text
    outputs = request.tool_outputs()
    if outputs and outputs[-1]:
        return Answer(_words(_found(question, outputs[-1][-1])), rate=PACE)
    parameters = request.tool_parameters(DATA_TOOL)
    sql = _sql(question, _tables_of(request)) if parameters is not None else ""
    if parameters is None or not sql:
        return None
    arguments = orjson.dumps({_text_property(parameters): sql}).decode()
    call = ToolOrder(DATA_TOOL, arguments)
    return Answer(calls=[call], first_call=calls_before(request) + 1, finish="tool_calls", rate=PACE)


def _found(question: str, output: str) -> str:
    numbers = NUMBER.findall(output)
    for word in ("total", "average", "number"):
        if word in question.lower() and len(numbers) == 1:
            return f"The {word} is {numbers[0]}."
    return f"Here is what the data says: {output[:400]}"


def _text_property(parameters: Mapping[str, Any]) -> str:
    """Which property of the tool takes the SQL: `sql`, or the first that is a string."""
    properties: dict[str, Any] = parameters.get("properties") or {}
    strings = [name for name, schema in properties.items() if schema.get("type") == "string"]
    return "sql" if "sql" in properties or not strings else strings[0]


def _tables_of(request: ChatRequest) -> dict[str, list[str]]:
    """The tables and their columns as the tool's description gives them: `sales(day, product, revenue)`."""
    for tool in request.body.get("tools") or []:
        function = tool.get("function", {})
        found = TABLE.findall(str(function.get("description", "")))
        if function.get("name") == DATA_TOOL and found:
            return {name: re.split(r", ?", columns) for name, columns in found}
    return {"sales": ["product", "revenue"]}


def _table_asked_for(question: str, tables: Mapping[str, list[str]]) -> str:
    """The table of whose columns the question says most, then the one that it names; the first of equals."""

    def named(table: str) -> int:
        columns = sum(len(column) for column in tables[table] if _names(question, column))
        return columns + _names(question, table)

    return max(tables, key=named)


def _names(question: str, word: str) -> bool:
    """Whether the question has the word, in the singular or the plural, `unit_price` as `unit price`."""
    singular = word.lower().replace("_", " ").removesuffix("s")
    return re.search(rf"\b{re.escape(singular)}s?\b", question) is not None


def _sql(question: str, tables: Mapping[str, list[str]]) -> str:
    """A total, an average, a number or a top list, whole or `by` a column; "" for any other question."""
    asked = question.lower().replace("_", " ")
    table = _table_asked_for(asked, tables)
    columns = tables[table]
    named = [column for column in columns if _names(asked, column)]
    group = next((each for each in named if re.search(rf"\b(by|per|each) {each}\b", asked)), "")
    measures = [each for each in named if each != group]
    measure = measures[-1] if measures else columns[-1]
    top = re.search(r"\b(?:top|best) (\d+)?", asked)
    if top:
        return _top_list(table, columns, named, int(top[1] or 5))
    for words, function, name in AGGREGATES:
        if re.search(words, asked):
            what = f"{function}({'*' if function == 'COUNT' else measure}) AS {name} FROM {table}"
            return f"SELECT {group}, {what} GROUP BY {group} ORDER BY {group}" if group else f"SELECT {what}"
    return ""


AGGREGATES = [
    (r"\b(total|sum)\b", "SUM", "total"),
    (r"\b(average|mean|avg)\b", "AVG", "average"),
    (r"\b(how many|number of)\b", "COUNT", "number"),
]


def _top_list(table: str, columns: list[str], named: list[str], count: int) -> str:
    group = named[0] if len(named) > 1 or named[:1] != columns[-1:] else columns[0]
    group = group if named else columns[0]
    others = [each for each in named if each != group]
    measure = others[-1] if others else columns[-1]
    rest = f"GROUP BY {group} ORDER BY total DESC LIMIT {count}"
    return f"SELECT {group}, SUM({measure}) AS total FROM {table} {rest}"


def _wanted_schema(request: ChatRequest) -> Mapping[str, Any] | None:
    wanted = request.body.get("response_format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    return (wanted.get("json_schema") or {}).get("schema") or {}


def _filled(schema: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(fill_schema(schema, schema)).decode()
    except (RecursionError, KeyError) as error:
        reason = f"Invalid schema for response_format: {type(error).__name__}"
        raise Problem(400, reason, code="invalid_request_error") from None


def fill_schema(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """The smallest useful value that the schema accepts: every property, one item in a list."""
    if "$ref" in schema:
        return fill_schema(_resolve(str(schema["$ref"]), root), root)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if schema.get("enum"):
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return fill_schema(schema[key][0], root)
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) else kind
    return FILLERS.get(kind, _fill_null)(schema, root)


def _resolve(reference: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found[part]
    return found


def _fill_object(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    return {name: fill_schema(each, root) for name, each in (schema.get("properties") or {}).items()}


def _fill_array(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    return [fill_schema(schema.get("items") or {}, root)] * max(1, _bounded(schema.get("minItems", 1)))


def _fill_number(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Any:
    return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)


def _fill_text(schema: Mapping[str, Any], _: Mapping[str, Any]) -> Any:
    return str(schema.get("title") or "example").ljust(_bounded(schema.get("minLength", 0)), ".")


def _bounded(least: int) -> int:
    if least > MOST:
        raise Problem(400, f"Invalid schema for response_format: more than {MOST} are asked for")
    return least


def _fill_flag(_: Mapping[str, Any], __: Mapping[str, Any]) -> Any:
    return True


def _fill_null(_: Mapping[str, Any], __: Mapping[str, Any]) -> Any:
    return None


FILLERS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any]], Any]] = {
    "object": _fill_object,
    "array": _fill_array,
    "number": _fill_number,
    "integer": _fill_number,
    "string": _fill_text,
    "boolean": _fill_flag,
}
