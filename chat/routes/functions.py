"""The HTTP functions of the host, made from the table in `function_app.py`.

A cold start makes them all: so this imports nothing of the app, and what a row names is imported with the first
request for it.
"""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from fastapi import Request, Response

from chat.routes.route_table import Route, Routes, load

type HttpFunction = Callable[[Request], Awaitable[Response]]


def functions(routes: Routes) -> Iterator[tuple[str, list[str], HttpFunction]]:
    """`(path, methods, function)` for each function of the host, whose template has no slash before it."""
    for path, rows in routes.items():
        methods: dict[Route, list[str]] = {}
        for method, route in rows.items():
            methods.setdefault(route, []).append(method)
        for route, shared in methods.items():
            yield path.removeprefix("/"), shared, _function(route, routes)


def _function(route: Route, routes: Routes) -> HttpFunction:
    """The host wants its argument to be called `req`, annotated with the extension's `Request`, which is FastAPI's, and
    one plain class as what it returns."""

    async def answer(req: Request) -> Response:
        from chat.routes import replies

        handler = load(route.handler)
        if route.dialect:
            handler = partial(handler, dialect=route.dialect)
        if route.wants_routes:
            handler = partial(handler, routes=routes)
        if route.who == "anyone":
            return await replies.answer_anyone(req, handler, route.words)
        if route.body:
            return await replies.answer_body(req, handler, route, load(route.body))
        return await replies.answer(req, handler, route)

    answer.__name__ = answer.__qualname__ = route.function
    return answer
