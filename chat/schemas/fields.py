"""Fields that HTTP bodies and the frames of sockets share, and errors that name them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, cast

import orjson
import pydantic
from pydantic.fields import FieldInfo

from chat.errors import InvalidBody, TooLarge, ValidationError

MAX_ID = 255
EMPTY = "Message content cannot be empty"
UNWRITABLE = "Holds half of a surrogate pair, which cannot be written as UTF-8"

SENTENCES: Mapping[str, str] = {
    "missing": "This field must be given",
    "string_type": "Must be a text",
    "string_unicode": UNWRITABLE,
    "string_too_long": "Has more than {max_length} characters",
    "string_too_short": "Must not be empty",
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
    "too_short": "Must not be empty",
    "greater_than_equal": "Must be at least {ge}",
    "less_than_equal": "Must be at most {le}",
    "value_error": "{error}",
}
"""What is wrong with a field, by the type of pydantic's error, with what that type tells."""

PROVIDER = r"^[A-Z][A-Z0-9_]{0,49}$"
TOOL = r"^[A-Za-z0-9_-]{1,64}$"
FORMS: Mapping[str, str] = {
    PROVIDER: "Must be in upper case, like AZURE: at most 50 letters, digits and _, a letter first",
    TOOL: "Must be 1 to 64 letters, digits, _ or -",
}
"""The same of a text with a pattern, by the pattern."""


class Body(pydantic.BaseModel):
    """What a caller sends. `null` for a field that may be left out is as if it were left out."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def leave_out_nulls(cls, value: Any) -> Any:
        """A field that must be given keeps its null, and is refused for it."""
        if not isinstance(value, dict) or None not in value.values():
            return value
        given = cast("dict[str, Any]", value)
        fields = cls.model_fields.items()
        may_miss = {each for name, field in fields if not field.is_required() for each in _names(name, field)}
        return {name: each for name, each in given.items() if each is not None or name not in may_miss}


def _names(name: str, field: FieldInfo) -> Iterable[object]:
    """What a caller may call a field."""
    alias = field.validation_alias
    return (name, *(alias.choices if isinstance(alias, pydantic.AliasChoices) else (alias,)))


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError(EMPTY)
    return text


type Flag = Annotated[bool, pydantic.Strict()]  # a text such as "no" is none
Whole = Annotated[int, pydantic.Strict()]  # nor is "5" a number in JSON, or true
Number = Annotated[float, pydantic.Strict()]
type Content = Annotated[
    str, pydantic.AfterValidator(_said), pydantic.Field(json_schema_extra={"pattern": r"\S"})
]  # its size is a setting: see `check_size`
type Id = Annotated[
    str, pydantic.Field(max_length=MAX_ID)
]  # whatever may end in a key or a property of the store


def examples(*shown: Mapping[str, Any]) -> pydantic.ConfigDict:
    """The configuration of a model that has examples."""
    return pydantic.ConfigDict(json_schema_extra={"examples": [dict(each) for each in shown]})


@dataclass(frozen=True)
class ShownAs:
    """As schemas show a value: like this model, which another validator holds it against."""

    model: type[pydantic.BaseModel]

    def __get_pydantic_json_schema__(self, _schema: Any, handler: pydantic.GetJsonSchemaHandler) -> Any:
        return handler(self.model.__pydantic_core_schema__)


def validate[Body: pydantic.BaseModel](model: type[Body], value: Mapping[str, Any]) -> Body:
    """The body as its schema. ValidationError names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # A key that is wrong is named by itself, and what a part was taken for is no place in it.
        places = (str(part) for part in first["loc"] if part != "[key]" and not is_kind(part))
        field = ".".join(places)[:MAX_ID] or "body"
        raise ValidationError(field, _sentence(first["type"], first.get("ctx", {}))) from None


def kind_of(name: str) -> pydantic.Tag:
    """The tag of one of several models that a value may have. Errors do not name it, since no caller wrote it."""
    return pydantic.Tag(f"<{name}>")


def is_kind(part: object) -> bool:
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def _sentence(kind: str, told: Mapping[str, Any]) -> str:
    if kind == "string_pattern_mismatch":
        return FORMS[told["pattern"]]
    return SENTENCES.get(kind, "Cannot be used here").format_map(told)


def read_json(text: bytes | str, *, refusal: str) -> Any:
    """What the JSON says. InvalidBody begins with `refusal`; ValidationError names the first field with half of a
    surrogate pair, which the grammar of JSON allows and UTF-8 does not."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if field := _unwritable_field(text):
            raise ValidationError(field, UNWRITABLE) from None
        raise InvalidBody(f"{refusal}: {error}") from None


def read_time(text: str) -> datetime | None:
    """A time in ISO 8601, in UTC where it names no zone; None for any other text. The plus of a zone may have become a
    blank, as it does in a query where it is not escaped."""
    try:
        when = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


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


def check_json_size(value: object, limit: int) -> object:
    """The value, for a validator that stands before its types. ValueError where it has more than `limit` bytes as JSON,
    or cannot be written."""
    if len(json_text(value)) > limit:
        raise ValueError(f"Larger than {limit} bytes of JSON")
    return value


def json_text(value: object) -> bytes:
    """As JSON in UTF-8. ValueError for what could be read and cannot be written: JSON may be nested more deeply in a
    body than we write it."""
    try:
        return orjson.dumps(value)
    except TypeError:
        raise ValueError("Too deeply nested, or a number is too large") from None


def _unwritable_field(text: bytes | str) -> str:
    """The path to the first text that UTF-8 cannot hold; "" when that is not what is wrong. Of the values around the
    one that is looked at alone something is kept: a text may hold hundreds of thousands."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    path, levels = list[object](), [_within([value])]
    while levels:
        for name, each in levels[-1]:
            if isinstance(each, str):
                if _is_unwritable(each):
                    return _joined([*path, name])
            elif each and isinstance(each, dict | list):
                path.append(name)
                if isinstance(each, dict) and any(map(_is_unwritable, cast("dict[str, Any]", each))):
                    return _joined(path)
                levels.append(_within(cast("dict[str, Any] | list[Any]", each)))
                break
        else:
            levels.pop()
            del path[-1:]
    return ""


def _within(value: dict[str, Any] | list[Any]) -> Iterator[tuple[object, Any]]:
    return iter(value.items()) if isinstance(value, dict) else enumerate(value)


def _joined(path: Sequence[object]) -> str:
    """Without the first, which is the place of the whole."""
    return ".".join(map(str, path[1:]))[:MAX_ID] or "body"


def _is_unwritable(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
