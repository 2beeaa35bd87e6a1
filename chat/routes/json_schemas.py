"""JSON schemas (2020-12, as in OpenAPI 3.1) of what callers say and of what they are told, from the models."""

from collections.abc import Iterable
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from pydantic_core import core_schema

from chat.dialects.shape_schemas import Shown
from chat.schemas.fields import Body

type Schema = dict[str, Any]
PLACE = "#/components/schemas/"
NULL: Schema = {"type": "null"}
FREE: dict[str, Schema] = {"JSON": {}, "JSONObject": {"type": "object"}}  # what may hold anything


def schemas_of(models: Iterable[type[BaseModel]]) -> dict[str, Schema]:
    """The schema of each model, and of each model in it, by name. All refer to each other below `PLACE`."""
    _, found = models_json_schema(
        [(each, "validation") for each in dict.fromkeys(models)],
        ref_template=PLACE + "{model}",
        schema_generator=_Generator,
    )
    definitions: dict[str, Schema] = found.get("$defs", {})
    named: dict[str, Schema] = {}
    for each in definitions.values():
        if "title" in each and named.setdefault(each["title"], each) != each:
            raise ValueError(f"Two models are called {each['title']}")
    return {name: _inlined(named[name], definitions) for name in sorted(named)}


def ref(model: type[BaseModel]) -> Schema:
    return {"$ref": PLACE + model.__name__}


class _Generator(GenerateJsonSchema):
    """Without titles, but for the names of models. What a `Body` may leave out may be null; in what is `Shown` a
    default says that the key may be missing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> Schema:
        shown = super().model_schema(schema)
        fields: dict[str, Schema] = shown.get("properties", {})
        for name in fields.keys() - set(shown.get("required", ())):
            if issubclass(schema["cls"], Body):
                fields[name] = _or_null(fields[name])
            elif issubclass(schema["cls"], Shown):
                fields[name].pop("default", None)
        return shown


def _or_null(schema: Schema) -> Schema:
    default = {"default": schema["default"]} if schema.get("default") is not None else {}
    value = {key: each for key, each in schema.items() if key != "default"}
    if not value or NULL in value.get("anyOf", ()):
        return value | default
    return {"anyOf": [value, NULL], **default}


def without_null(schema: Schema) -> Schema:
    """Of what a query may say: there is no null in it."""
    value = {key: each for key, each in schema.items() if key != "default" or each is not None}
    kinds = [each for each in value.pop("anyOf", ()) if each != NULL]
    return {**(kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}), **value}


def _inlined(value: Any, definitions: dict[str, Schema]) -> Any:
    """With type aliases where they are used: names are for models alone."""
    if isinstance(value, list):
        return [_inlined(each, definitions) for each in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    said: Schema = {key: _inlined(each, definitions) for key, each in cast("Schema", value).items()}
    name = str(said.get("$ref", "")).removeprefix(PLACE)
    if not name:
        return said
    del said["$ref"]
    if name in FREE:
        return FREE[name] | said
    target = definitions[name]
    if "title" in target:
        return {"$ref": PLACE + target["title"]} | said
    return _inlined(target, definitions) | said
