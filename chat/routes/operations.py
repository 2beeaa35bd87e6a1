"""An operation of the OpenAPI document, made from a row of the table of routes."""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from pydantic import BaseModel

from chat.dialects.base import Dialect, Door, Framing
from chat.dialects.catalogue import DIALECTS
from chat.routes.admission import scope_of
from chat.routes.header_schemas import headers_of
from chat.routes.json_schemas import Schema, ref, schemas_of, without_null
from chat.routes.problem_responses import Problem, name_of, response_of, sample_of, statuses_of
from chat.routes.route_table import Route, load
from chat.schemas.fields import MAX_ID

JSON, REPLIES = "application/json", "reply_schemas"
TAGS = {
    "past_responses": "responses",
    "turn_streams": "turns",
    "doors": "dialects",
    "plans": "turns",
    "socket_routes": "sockets",
    "docs_page": "openapi",
}
"""Of handlers, by their modules, where these have other names."""
WITHOUT_BODY = {204: "There is nothing (yet).", 304: "It is what one has."}
CREDENTIALS = ("bearer", "apiKey", "functionKey", "devUser")
TITLE = re.compile(r"^`[A-Z]+\b[^`]*`(?: and `[^`]*`| and its like| the same)*[:.,]?\s*")
"""How the docstring of a handler begins."""

KEY = "Names the request: a repeat of it gets what there is, instead of a second one."
OTHER = "For admins: whose it is, to see what that user sees. Each time a line of the audit log tells of it."
LAST = "The `id:` of the last frame that came; browsers send it by themselves. `after` counts more."
SSE = "text/event-stream"
STREAM = (
    "Server-sent events, each of which the schema describes: an object of the dialect, or the end. A comment says that"
    " the connection lives."
)
LINES = "Lines, each of which the schema describes: an object of the dialect. An empty one says that nothing came."


@dataclass(frozen=True)
class Operation:
    """What one method of a path does."""

    path: str
    method: str
    row: Route

    @property
    def tag(self) -> str:
        module = self.row.handler.partition(":")[0]
        return TAGS.get(module, module)

    @property
    def door(self) -> Door[Any] | None:
        """Where the route is a dialect's own."""
        return DIALECTS[self.row.dialect].door if self.row.handler.startswith("doors:") else None

    @property
    def body(self) -> type[BaseModel] | None:
        """What it takes."""
        if self.door is not None:
            return self.door.body
        return load(self.row.body) if self.row.body else None

    @property
    def streams(self) -> bool:
        return self.row.streams or (self.door is not None and self.door.whole is None)

    @property
    def asks(self) -> bool:
        """Whether it starts a turn."""
        return self.method == "POST" and (self.streams or self.door is not None)

    def shown(self) -> Schema:
        row, shared = self.row, self.method in ("HEAD", "OPTIONS")
        parameters = [*self._parameters()]
        operation: Schema = {
            "operationId": f"{row.function}_{self.method.lower()}" if shared else row.function,
            "summary": row.summary,
            "description": self._description(),
            "tags": [self.tag],
            "security": [{name: []} for name in self._credentials()],
            **({"parameters": parameters} if parameters else {}),
            **self._request_body(),
            "responses": self._responses(),
        }
        speaks = row.dialect and not self.streams and self.door is None
        if speaks and DIALECTS[row.dialect].socket is not None:
            frames = _frames_of(DIALECTS[row.dialect])
            operation["x-socket"] = {name: ref(model) for name, model in frames.items()}
        return operation

    def _credentials(self) -> Sequence[str]:
        if self.row.who == "anyone":
            return ()
        return (*CREDENTIALS, "link") if self.row.by_link else CREDENTIALS

    def _description(self) -> str:
        said = TITLE.sub("", inspect.getdoc(load(self.row.handler)) or "")
        may = {"anyone": "Anyone may ask", "admin": "For admins", "caller": "For those who are known"}[
            self.row.who
        ]
        if self.row.role:
            may += (
                f", and {'an' if self.row.role != 'viewer' else 'a'} {self.row.role} of the session at least"
            )
        if self.row.by_link:
            may += ", or whoever has a link to the turn"
        if self.row.who != "anyone":
            may += f"; a limited credential is good for `{scope_of(self.row, self.method)}`"
        return f"{said[:1].upper()}{said[1:]}\n\n{may}.".strip()

    def _parameters(self) -> Iterator[Schema]:
        identifier = {"type": "string", "minLength": 1, "maxLength": MAX_ID}
        in_path = re.findall(r"{(\w+)}", self.path)
        for name in in_path:
            yield {"name": name, "in": "path", "required": True, "schema": identifier}
        for name, schema in _query_of(self.row).items():
            if name not in in_path:
                about = {"description": schema.pop("description")} if "description" in schema else {}
                yield {"name": name, "in": "query", **about, "schema": without_null(schema)}
        text = {"type": "string", "maxLength": MAX_ID}
        if self.row.for_others:
            yield {"name": "user_id", "in": "query", "description": OTHER, "schema": text}
        if self.row.again:
            yield {"name": "Idempotency-Key", "in": "header", "description": KEY, "schema": text}
        for name, about in (self.door.headers if self.door is not None else {}).items():
            yield {"name": name, "in": "header", "description": about, "schema": text}
        if self.streams and not self.asks and not self.row.dialect:
            place = text | {"pattern": r"^\d{1,8}(\.\d{1,8})?$"}
            yield {"name": "Last-Event-ID", "in": "header", "description": LAST, "schema": place}

    def _request_body(self) -> Schema:
        if (model := self.body) is None:
            return {}
        examples = schemas_of([model])[model.__name__].get("examples", ())
        shown = {str(number): {"value": each} for number, each in enumerate(examples, 1)}
        content = {"schema": ref(model), **({"examples": shown} if shown else {})}
        return {"requestBody": {"required": self.row.needs_body, "content": {JSON: content}}}

    def _responses(self) -> Schema:
        statuses = statuses_of(self.path, self.row, has_body=self.body is not None, asks=self.asks)
        found = {status: response for each in statuses for status, response in self._refusal(each)}
        if self.streams:
            found["200"] = self._stream()
            found["200"]["content"] |= self._whole()
            if self.row.reply:
                found["200"]["content"] |= self._reply(200, is_problem=False)["content"]
            if 204 in self.row.statuses:
                found["204"] = {"description": "There is none."}
        elif self.row.reply:
            for status in self.row.statuses:
                found[str(status)] = self._reply(status, is_problem=status in statuses)
            for status in self.row.silent:
                found[str(status)] = {"description": self.row.summary}
        elif self.row.content:
            schema = {"type": "object" if self.row.content == JSON else "string"}
            found["200"] = {
                "description": self.row.summary,
                "content": {self.row.content: {"schema": schema}},
            }
        else:
            found["2XX"] = {"description": self.row.summary}
        if self.method == "HEAD":
            return {status: {"description": self.row.summary} for status in sorted(found)}
        return dict(sorted(found.items()))

    def _reply(self, status: int, *, is_problem: bool) -> Schema:
        if status in WITHOUT_BODY:
            return {"description": WITHOUT_BODY[status]}
        schema = ref(load(self.row.reply, REPLIES))
        if is_problem:
            schema = {"anyOf": [schema, ref(Problem)]}
        content = {JSON: {"schema": schema}, **{kind: {"schema": {}} for kind in self.row.kinds}}
        headers = {"headers": headers_of("turn", "limit")} if self.asks else {}
        return {"description": self.row.summary, **headers, "content": content}

    def _stream(self) -> Schema:
        """By the content type of each dialect that it may be in."""
        framings = [*self._framings()]
        kinds = dict.fromkeys(framing.content_type for _, framing in framings)
        content = {kind: {"schema": _event(framings, "OUT", kind)} for kind in kinds}
        about = "\n\n".join(STREAM if kind == SSE else LINES for kind in kinds)
        return {"description": about, "headers": headers_of("turn", "limit"), "content": content}

    def _whole(self) -> Schema:
        """The same in one, where the caller may have it so."""
        own = DIALECTS[self.row.dialect] if self.row.dialect else None
        has = own is not None and (self.door is None or self.door.whole is not None)
        model = next(_models_of(own, "WHOLE"), None) if own and has else None
        return {JSON: {"schema": ref(model)}} if model else {}

    def _framings(self) -> Iterator[tuple[Dialect, Framing]]:
        own = DIALECTS[self.row.words] if self.row.words else None
        for dialect in (own,) if own else DIALECTS.values():
            framing = (own and own.door and own.door.framing) or dialect.framing
            if framing is not None:
                yield dialect, framing

    def _refusal(self, status: int) -> Iterator[tuple[str, Schema]]:
        """How it is told, by the status that it is told with."""
        words = DIALECTS[self.row.words] if self.row.words else None
        refusal = words and words.door and words.door.refusal
        if words is None or refusal is None:
            yield str(status), self._problem(status)
            return
        shown = refusal(sample_of(status))
        schema = next((ref(model) for model in _models_of(words, "REFUSED")), {})
        content = {shown.headers["content-type"]: {"schema": schema}, **self._failures(status)}
        yield str(shown.status), response_of(shown.status, content)

    def _problem(self, status: int) -> Schema:
        reference = {"$ref": f"#/components/responses/{name_of(status)}"}
        if not (failures := self._failures(status)):
            return reference
        content = {JSON: {"schema": ref(Problem)}, **failures}
        return {"description": f"As `{name_of(status)}`, or as a stream.", "content": content}

    def _failures(self, status: int) -> Schema:
        """A dialect may tell as a stream of a turn that failed, at its own door."""
        if self.door is None or self.door.failed is None or status < 404:
            return {}
        framings = [*self._framings()]
        [(dialect, framing)] = framings
        if not [*_models_of(dialect, "FAILED")]:
            return {}
        return {framing.content_type: {"schema": _event(framings, "FAILED", framing.content_type)}}


def _event(framings: Sequence[tuple[Dialect, Framing]], name: str, kind: str) -> Schema:
    """What one event or line of a stream may be: before OpenAPI 3.2 its schema is taken to be that of its items."""
    framings = [each for each in framings if each[1].content_type == kind]
    frames = [ref(model) for dialect, _ in framings for model in _models_of(dialect, name)]
    if kind != SSE:
        return {"anyOf": frames}
    ends = dict.fromkeys(framing.done.decode().removeprefix("data: ").strip() for _, framing in framings)
    data: list[Schema] = [{"contentMediaType": JSON, "contentSchema": {"anyOf": frames}}]
    data += [{"const": each} for each in ends if each]
    place = {"type": "string", "description": "A place to come back to."}
    return {
        "type": "object",
        "required": ["data"],
        "properties": {"id": place, "data": {"type": "string", "anyOf": data}},
    }


def models_of(operation: Operation) -> Iterator[type[BaseModel]]:
    """What it takes and what it answers with."""
    if operation.body is not None:
        yield operation.body
    if operation.row.reply:
        yield load(operation.row.reply, REPLIES)


def models_of_dialects() -> Iterator[type[BaseModel]]:
    """The frames of all dialects."""
    for dialect in DIALECTS.values():
        for name in ("OUT", "IN", "SAYS", "WHOLE", "FAILED", "REFUSED"):
            yield from _models_of(dialect, name)


def _models_of(dialect: Dialect, name: str) -> Iterator[type[BaseModel]]:
    """None for a dialect that does not describe them, or has none."""
    module = import_module(dialect.schemas) if dialect.schemas else None
    if hasattr(module, name):
        yield getattr(module, name)


def _frames_of(dialect: Dialect) -> Mapping[str, type[BaseModel]]:
    said = (("says", "OUT"), ("says", "SAYS"), ("takes", "IN"))  # the later one counts
    return {key: model for key, name in said for model in _models_of(dialect, name)}


def _query_of(row: Route) -> dict[str, Schema]:
    if not row.query:
        return {}
    model: type[BaseModel] = load(row.query)
    return schemas_of([model])[model.__name__]["properties"]
