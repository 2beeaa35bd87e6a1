"""Fields that HTTP bodies and the frames of sockets share, and errors that name them."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple, cast

import orjson
import pydantic

from chat.errors import InvalidBody, TooLarge, ValidationError

MAX_ID = 255
UNWRITABLE = "Holds half of a surrogate pair, which cannot be written as UTF-8"

SENTENCES: Mapping[str, str] = {
    "missing": "This field must be given",
    "string_type": "Must be a text",
    "string_unicode": UNWRITABLE,
    "string_too_long": "Has more than {max_length} characters",
    "string_too_short": "Must not be empty",
    "string_pattern_mismatch": "Must have the form {pattern}",
    "literal_error": "Must be {expected}",
    "int_type": "Must be a whole number",
    "int_parsing": "Must be a whole number",
    "int_parsing_size": "Must be a whole number of at most 19 digits",
    "int_from_float": "Must be a whole number",
    "float_type": "Must be a number",
    "float_parsing": "Must be a number",
    "finite_number": "Must be a number",
    "bool_type": "Must be true or false",
    "bool_parsing": "Must be true or false",
    "list_type": "Must be a list",
    "dict_type": "Must be an object",
    "model_type": "Must be an object",
    "too_long": "Has more than {max_length} entries",
    "too_short": "Must have at least {min_length} entries",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
    "value_error": "{error}",
}
"""What is wrong with a field, by the type of pydantic's error, with what that type tells."""


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("Message content cannot be empty")
    return text


type Content = Annotated[str, pydantic.AfterValidator(_said)]  # its size is a setting: see `check_size`
type Id = Annotated[
    str, pydantic.Field(max_length=MAX_ID)
]  # whatever may end in a key or a property of the store


def validate[Body: pydantic.BaseModel](model: type[Body], value: Mapping[str, Any]) -> Body:
    """The body as its schema. ValidationError names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        sentence = SENTENCES.get(first["type"], "Cannot be used here")
        raise ValidationError(field, sentence.format_map(first.get("ctx", {}))) from None


def read_json(text: bytes | str, *, refusal: str) -> Any:
    """What the JSON says. InvalidBody begins with `refusal`; ValidationError names the first field with half of a
    surrogate pair, which the grammar of JSON allows and UTF-8 does not."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if field := _unwritable_field(text):
            raise ValidationError(field, UNWRITABLE) from None
        raise InvalidBody(f"{refusal}: {error}") from None


def check_writable(field: str, text: str) -> None:
    """ValidationError for what cannot be written as UTF-8."""
    if _is_unwritable(text):
        raise ValidationError(field, UNWRITABLE)


def check_id(field: str, text: str) -> None:
    """ValidationError for what is too long for an id, or cannot be written."""
    if len(text) > MAX_ID:
        raise ValidationError(field, SENTENCES["string_too_long"].format(max_length=MAX_ID))
    check_writable(field, text)


def check_size(field: str, text: str, *, limit: int) -> None:
    """TooLarge when the text has more than `limit` bytes as UTF-8."""
    if len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit):
        raise TooLarge(f"{field} is larger than {limit} bytes", details={"field": field, "limit": limit})


def _unwritable_field(text: bytes | str) -> str:
    """The path to the first text that UTF-8 cannot hold; "" when that is not what is wrong. A path is put together for
    the one that is found alone: all of them would be much larger than the text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    waiting = [_Node(None, "", value)]
    while waiting:
        node = waiting.pop()
        value = node.value
        if isinstance(value, str) and _is_unwritable(value):
            return node.path()
        if isinstance(value, dict):
            fields = cast("dict[str, Any]", value)
            if any(map(_is_unwritable, fields)):
                return node.path()
            waiting += [_Node(node, name, each) for name, each in reversed(fields.items()) if _may_hold(each)]
        elif isinstance(value, list):
            items = enumerate(cast("list[Any]", value))
            waiting += reversed([_Node(node, str(place), each) for place, each in items if _may_hold(each)])
    return ""


def _may_hold(value: object) -> bool:
    """Whether a text that UTF-8 cannot hold may be in it. Most values are small: the fewer are kept, the better."""
    return not value.isascii() if isinstance(value, str) else isinstance(value, dict | list)


class _Node(NamedTuple):
    """A value within another one."""

    parent: "_Node | None"
    name: str
    value: Any

    def path(self) -> str:
        names: list[str] = []
        node = self
        while node.parent is not None:
            names.append(node.name)
            node = node.parent
        return ".".join(reversed(names))[:MAX_ID] or "body"


def _is_unwritable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
