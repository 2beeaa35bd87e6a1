"""Problems in the OpenAPI document: one schema, a response for each status, and which of them a route may give."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from chat import errors
from chat.dialects.shape_schemas import Problem as Problem
from chat.errors import ChatError
from chat.routes.header_schemas import HeaderKind, headers_of
from chat.routes.json_schemas import Schema, ref
from chat.routes.route_table import Route

MEANINGS: Mapping[int, str] = {
    400: "The body cannot be read.",
    401: "Nobody is known by what the request brings.",
    403: "Whoever asks may not do this.",
    404: "It is not there, or it is not theirs.",
    405: "The path has other methods.",
    409: "It is in another state.",
    408: "The body did not come in time.",
    410: "It was removed.",
    413: "More than is taken.",
    414: "The address is too long.",
    415: "The body is compressed, or has files.",
    422: "A field is wrong: `details.field` names it.",
    429: "More than one may have: come back later.",
    431: "The headers are too large.",
    500: "Something went wrong on this side.",
    502: "The model service failed.",
    503: "Something behind the app is away: come back later.",
    504: "The model service is silent.",
}
ANYONE = {414, 431, 500, 503}
CALLER = {401, 403, 422, 429}
BODY = {400, 408, 413, 415, 422}
REPEATED = {409, 410, 422}
HEADED: Mapping[int, Sequence[HeaderKind]] = {
    429: ("later", "turn", "limit"),
    500: ("turn",),
    502: ("turn",),
    503: ("later", "turn"),
    504: ("turn",),
}
"""What a refusal of a status may tell beside its body: a turn that failed before it said anything has ids."""
TURN = {404, 409, 429, 500, 502, 503, 504}
"""How a turn may fail before it says anything, or be refused."""


def statuses_of(path: str, row: Route, *, has_body: bool, asks: bool) -> Collection[int]:
    """Of the problems that this route may answer with. `asks`: it starts a turn."""
    found = {*ANYONE, *row.problems}
    if row.who != "anyone":
        found |= CALLER
    if "{" in path:
        found |= {404, 422}
    if row.query:
        found.add(422)
    if has_body:
        found |= BODY
    if row.again:
        found |= REPEATED
    return sorted(found | TURN if asks else found)


def name_of(status: int) -> str:
    """Of the response that stands for a status."""
    return f"Problem{status}"


def problem_responses() -> dict[str, Schema]:
    """`components.responses`: for each status its codes, with an example each."""
    by_status: dict[int, dict[str, type[ChatError]]] = {}
    for kind in _kinds():
        by_status.setdefault(kind.status, {}).setdefault(kind.code, kind)
    return {name_of(status): _response(status, by_status[status]) for status in sorted(by_status)}


def response_of(status: int, content: Schema) -> Schema:
    """A refusal with this status, as JSON or however it is told."""
    response: Schema = {"description": MEANINGS.get(status, "A problem."), "content": content}
    headers = headers_of(*HEADED.get(status, ()))
    return response | ({"headers": headers} if headers else {})


def sample_of(status: int) -> ChatError:
    """Any error of that status."""
    return type("Sample", (ChatError,), {"status": status})()


def _response(status: int, kinds: Mapping[str, type[ChatError]]) -> Schema:
    codes = ", ".join(f"`{code}`" for code in kinds)
    shown = {code: {"value": _example(kind)} for code, kind in kinds.items()}
    response = response_of(status, {"application/json": {"schema": ref(Problem), "examples": shown}})
    return response | {"description": f"{response['description']} {codes}"}


def _example(kind: type[ChatError]) -> Schema:
    message = (kind.__doc__ or "").split("\n")[0]
    details = {"message": message} | ({"field": "content"} if kind is errors.ValidationError else {})
    return {
        "error": kind.__name__,
        "error_code": kind.code,
        "details": details,
        "timestamp": "2026-11-20T08:15:00.000Z",
    }


def _kinds() -> Iterator[type[ChatError]]:
    for each in vars(errors).values():
        if isinstance(each, type) and issubclass(each, ChatError):
            yield each
