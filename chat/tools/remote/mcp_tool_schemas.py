"""Schemas of servers, read so that no model service refuses them: it would refuse every turn with them.

What is checked is what the vocabulary of JSON Schema 2020-12 says of each keyword's own form; what a schema means is
the server's to check. Two wishes of services go beyond it: lists say what their items are, and nothing is to be chosen
at the top.
"""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any, cast

from chat.events import JSON, JSONObject
from chat.tools.remote.mcp_texts import cleaned

MAX_SCHEMA = 16 * 1024  # bytes of a schema as JSON
MAX_DEPTH = 32  # of a schema
MOST, LEAST = 2**64, -(2**63)  # of the whole numbers that can be sent
TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
NOT_AT_THE_TOP = ("anyOf", "oneOf", "allOf", "not", "enum")


def read_schema(given: Mapping[str, Any]) -> JSONObject:
    """The schema of an object. ValueError with what is wrong with it."""
    if given.get("type") != "object":
        raise ValueError("its schema is not that of an object")
    if len(json.dumps(given)) > MAX_SCHEMA:
        raise ValueError("its schema is too large")
    schema = cast("JSONObject", _cleaned_json(given, MAX_DEPTH))
    for name in NOT_AT_THE_TOP:
        schema.pop(name, None)
    schema.setdefault("properties", {})
    _check_schema(schema, schema)
    return schema


def _cleaned_json(value: Any, depth: int) -> JSON:
    if not depth:
        raise ValueError("its schema is nested too deeply")
    match value:
        case str():
            return cleaned(value)
        case list():
            return [_cleaned_json(each, depth - 1) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case dict():
            if any(cleaned(str(key)) != key for key in value):  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
                raise ValueError("its schema has names with characters that nobody sees")
            return {str(key): _cleaned_json(each, depth - 1) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]
        case int() if not LEAST <= value < MOST:
            raise ValueError("its schema has a number that cannot be sent")
        case float() if not math.isfinite(value):
            raise ValueError("its schema has a number that is none")
        case _:
            return value


def _check_schema(schema: JSON, whole: JSONObject) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise ValueError("its schema has something else where a schema belongs")
    for name, value in schema.items():
        if name in SCHEMAS:
            _check_schema(value, whole)
        elif name in LISTS_OF_SCHEMAS | OBJECTS_OF_SCHEMAS:
            for each in _parts(name, value):
                _check_schema(each, whole)
        elif not FORMS.get(name, _anything)(value):
            raise ValueError(f"its schema has something else where the value of {name} belongs")
    if isinstance(reference := schema.get("$ref"), str) and not _is_found(reference, whole):
        raise ValueError("its schema has a reference to what it does not have")
    kind = schema.get("type")
    if (kind == "array" or (isinstance(kind, list) and "array" in kind)) and "prefixItems" not in schema:
        schema.setdefault("items", {})


def _parts(name: str, value: JSON) -> list[JSON]:
    if name in LISTS_OF_SCHEMAS and isinstance(value, list) and value:
        return value
    if name in OBJECTS_OF_SCHEMAS and isinstance(value, dict):
        return list(value.values())
    raise ValueError(f"its schema has something else where the schemas of {name} belong")


def _is_found(reference: str, whole: JSONObject) -> bool:
    """Whether a reference is a place in the schema itself. Nobody shall fetch one from elsewhere."""
    mark, *path = reference.split("/")
    place: JSON = whole
    for each in path:
        if not isinstance(place, dict):
            return False
        place = place.get(each.replace("~1", "/").replace("~0", "~"))
    return mark == "#" and isinstance(place, dict | bool)


def _anything(value: JSON) -> bool:
    return True


def _is_text(value: JSON) -> bool:
    return isinstance(value, str)


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_type(value: JSON) -> bool:
    kinds = value if isinstance(value, list) else [value]
    return bool(kinds) and all(isinstance(each, str) and each in TYPES for each in kinds)


def _are_names(value: JSON) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_list(value: JSON) -> bool:
    return isinstance(value, list)


SCHEMAS = frozenset(
    {
        *("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"),
        *("unevaluatedItems", "unevaluatedProperties"),
    }
)
LISTS_OF_SCHEMAS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
OBJECTS_OF_SCHEMAS = frozenset(
    {"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"}
)
TEXTS = ("$anchor", "$comment", "$id", "$ref", "$schema", "description", "format", "pattern", "title")
NUMBERS = ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf")
COUNTS = ("maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties")
FORMS: Mapping[str, Callable[[JSON], bool]] = {
    "type": _is_type,
    "enum": _is_list,
    "required": _are_names,
    **dict.fromkeys(TEXTS, _is_text),
    **dict.fromkeys(NUMBERS, _is_number),
    **dict.fromkeys(COUNTS, _is_count),
}
"""Of the other keywords; one that is not known may have any value."""
