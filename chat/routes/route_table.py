"""The form of the table in `function_app.py`, and the functions that are made from it.

A cold start reads the whole table: so this imports nothing of the app, and what a row names is imported with the
first request for it.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any, Literal

from fastapi import Request, Response


@dataclass(frozen=True)
class Route:
    """What one method of a path does. `handler`, and the pydantic model in `body`, are named `module:name` under
    `chat/routes`."""

    handler: str
    summary: str = field(compare=False)  # rows that differ in it alone share a function
    body: str = ""
    needs_body: bool = True  # else no body at all stands for an empty object
    who: Literal["caller", "anyone"] = "caller"  # who may ask: a caller who is known, or strangers too
    dialect: str = ""
    """Which one its handler is to speak, where several routes share a handler; the model of the body at its door is
    the dialect's."""
    name: str = ""  # of its function in the Functions host; "" takes the handler's

    @property
    def function(self) -> str:
        """The name of its function in the Functions host."""
        return self.name or self.handler.partition(":")[2]


type Routes = Mapping[str, Mapping[str, Route]]  # path, method
type HttpFunction = Callable[[Request], Awaitable[Response]]


def functions(routes: Routes) -> Iterator[tuple[str, list[str], HttpFunction]]:
    """`(path, methods, function)` for each function of the host, whose template has no slash before it."""
    for path, rows in routes.items():
        methods: dict[Route, list[str]] = {}
        for method, route in rows.items():
            methods.setdefault(route, []).append(method)
        for route, shared in methods.items():
            yield path.removeprefix("/"), shared, _function(route)


def load(name: str) -> Any:
    """What `module:name` names under `chat/routes`. ImportError; AttributeError."""
    module, _, name = name.partition(":")
    return getattr(import_module(f"chat.routes.{module}"), name)


def _function(route: Route) -> HttpFunction:
    """The host wants its argument to be called `req`, annotated with the extension's `Request`, which is FastAPI's, and
    one plain class as what it returns."""

    async def answer(req: Request) -> Response:
        from chat.routes import replies

        handler = load(route.handler)
        if route.dialect:
            handler = partial(handler, dialect=route.dialect)
        if route.who == "anyone":
            return await replies.answer_anyone(req, handler)
        if route.body:
            return await replies.answer_body(req, handler, load(route.body), needed=route.needs_body)
        return await replies.answer(req, handler)

    answer.__name__ = answer.__qualname__ = route.function
    return answer
