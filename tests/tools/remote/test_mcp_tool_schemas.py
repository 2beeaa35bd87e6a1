"""Schemas of servers: one that a model service would refuse costs its own tool, since it would cost every turn."""

from typing import Any

import orjson
import pytest

from chat.tools.remote.mcp_tool_schemas import read_schema

WRONG: dict[str, dict[str, Any]] = {
    "properties that are none": {"properties": 5},
    "a property that is no schema": {"properties": {"a": 5}},
    "a required that is no list": {"required": "x"},
    "a required of numbers": {"required": [1]},
    "a type that there is not": {"properties": {"a": {"type": "strin"}}},
    "types that there are not": {"properties": {"a": {"type": ["string", 5]}}},
    "an enum that is no list": {"properties": {"a": {"enum": 5}}},
    "a text for more properties": {"additionalProperties": "no"},
    "items that are a list": {"properties": {"a": {"type": "array", "items": [{}]}}},
    "no choices": {"properties": {"a": {"anyOf": []}}},
    "choices that are no schemas": {"properties": {"a": {"anyOf": [1]}}},
    "a title that is no text": {"properties": {"a": {"title": []}}},
    "a minimum that is no number": {"properties": {"a": {"minimum": "1"}}},
    "a length below zero": {"properties": {"a": {"minLength": -1}}},
    "a definition that is no schema": {"$defs": {"a": []}},
    "a reference to elsewhere": {"properties": {"a": {"$ref": "http://169.254.169.254/latest"}}},
    "a reference to a file": {"properties": {"a": {"$ref": "file:///etc/passwd"}}},
    "a reference to nothing": {"properties": {"a": {"$ref": "#/$defs/a"}}},
    "a reference past a text": {"title": "a", "properties": {"a": {"$ref": "#/title/a"}}},
    "a number of 400 digits": {"properties": {"a": {"maximum": 10**400}}},
    "a number of 65 bits": {"properties": {"a": {"default": -(2**64)}}},
    "no number": {"properties": {"a": {"default": float("nan")}}},
    "an infinite number": {"properties": {"a": {"maximum": float("inf")}}},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_schema_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="its schema"):
        read_schema({"type": "object"} | WRONG[name])


TAKEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "one that refers to itself": {"properties": {"a": {"$ref": "#"}}},
    "a list of definitions": {"$defs": {"a/b": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/a~1b"}}},
    "a tree": {
        "$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}},
        "properties": {"root": {"$ref": "#/$defs/n"}},
    },
    "choices": {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}}},
    "a property named as a keyword": {"properties": {"type": {"type": "string"}, "items": {"enum": [1]}}},
    "yes and no": {"properties": {"a": True, "b": False}, "additionalProperties": False},
    "keywords of its own": {"x-shown": [1, {"type": 7}], "properties": {"a": {"examples": [{"type": 5}]}}},
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_schema_is_taken_as_it_is(name: str) -> None:
    given = {"type": "object"} | TAKEN[name]
    read = read_schema(given)
    assert read == {"properties": {}} | given
    assert orjson.dumps(read)


def test_lists_have_items_because_services_want_them() -> None:
    given = {"type": "object", "properties": {"a": {"type": ["array", "null"]}, "b": {"prefixItems": [{}]}}}
    assert read_schema(given)["properties"] == {
        "a": {"type": ["array", "null"], "items": {}},
        "b": {"prefixItems": [{}]},
    }


def test_choices_at_the_top_are_left_to_the_server_because_services_refuse_them() -> None:
    given = {
        "type": "object",
        "properties": {"a": {}},
        "anyOf": [{"required": ["a"]}],
        "not": {"required": ["b"]},
    }
    assert read_schema(given) == {"type": "object", "properties": {"a": {}}}
