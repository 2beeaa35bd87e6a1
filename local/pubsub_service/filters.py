"""OData filters over connections: `userId eq 'ann' and not ('g' in groups)`. The grammar is odata-query's."""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from odata_query import ast
from odata_query.exceptions import ODataException
from odata_query.grammar import ODataLexer, ODataParser

from local.pubsub_service.connections import Connection
from local.pubsub_service.hubs import Matches

# The library wants a list on the right of `in`.
IN_GROUPS = re.compile(r"('(?:[^']|'')*')\s+in\s+groups\b")
COMPARE: dict[type[Any], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, many: one in many,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}


NOBODY = {"userId": "", "connectionId": "", "groups": (), "protocol": ""}


class BadFilter(Exception):
    """The filter cannot be read."""


def _contains(whole: Collection[str], part: str) -> bool:
    return part in whole


CALLS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": str.startswith,
    "endswith": str.endswith,
    "length": len,
    "tolower": str.lower,
    "toupper": str.upper,
}


def read_filter(text: str) -> Matches | None:
    """The filter as a function; None when there is none. BadFilter."""
    if not text:
        return None
    try:
        tree = ODataParser().parse(ODataLexer().tokenize(IN_GROUPS.sub(r"contains(groups, \1)", text)))
        _value(tree, NOBODY)
    except (ODataException, TypeError, KeyError, AttributeError) as error:
        raise BadFilter(f"The filter cannot be read: {error}") from None
    return lambda connection: bool(_value(tree, _names(connection)))


def _value(node: Any, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Identifier(name=name):
            return names[name]
        case ast.Null():
            return ""  # a connection without a user has the user ""
        case ast.String(val=text):
            return text
        case ast.Integer(val=digits):
            return int(digits)
        case ast.Boolean(val=word):
            return word == "true"
        case ast.List(val=items):
            return [_value(each, names) for each in items]
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return not _value(inner, names)
        case ast.BoolOp(op=ast.And(), left=left, right=right):
            return all([_value(left, names), _value(right, names)])
        case ast.BoolOp(left=left, right=right):
            return any([_value(left, names), _value(right, names)])
        case ast.Compare(comparator=kind, left=left, right=right):
            return COMPARE[type(kind)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Identifier(name=name), args=arguments):
            return CALLS[name](*(_value(each, names) for each in arguments))
        case _:
            raise TypeError(f"{type(node).__name__} is not supported")


def _names(connection: Connection) -> dict[str, Any]:
    return {
        "userId": connection.user_id,
        "connectionId": connection.id,
        "groups": list(connection.groups),
        "protocol": connection.protocol,
    }
