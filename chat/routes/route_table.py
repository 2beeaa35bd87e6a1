"""The form of the table in `function_app.py`.

A cold start reads the whole table: so this imports nothing of the app, and what a row names is imported with the
first request for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal


@dataclass(frozen=True)
class Route:
    """What one method of a path does. `handler`, and the pydantic models of `body`, `query` and `reply`, are named
    `module:name` under `chat/routes`; models may leave out the module: that is `schemas`, and `reply_schemas` for
    `reply`. The OpenAPI document is made from rows, and from the docstrings of handlers."""

    handler: str
    summary: str = field(compare=False)  # rows that differ in it alone share a function
    body: str = ""
    again: str = ""
    """What answers a repeat under its Idempotency-Key, from the ids of what was made. A row that makes something has
    one, and tells by `once:note_made` what it made."""
    needs_body: bool = True  # else no body at all stands for an empty object
    query: str = ""  # what the handler reads of it
    reply: str = ""  # what it answers with; nothing is written through it, tests hold replies against it
    content: str = ""  # the type of what it answers with, where no model tells its form
    statuses: tuple[int, ...] = (200,)  # of what it answers with
    silent: tuple[int, ...] = ()  # statuses of its answers that have no body
    streams: bool = False  # it answers with the stream of a turn
    kinds: tuple[str, ...] = ()  # of content in which it may answer beside JSON
    problems: tuple[int, ...] = ()  # statuses of problems that others like it do not have
    who: Literal["anyone", "caller", "admin"] = "caller"
    """Who may ask: strangers too, who is known, or admins alone."""
    role: Literal["", "viewer", "editor", "owner"] = ""
    """The least that one must be in the session that it is about."""
    scope: Literal["", "read", "write", "manage"] = ""
    """What a limited credential must be good for; "" is `read` for GET and HEAD, and `write` for the others."""
    makes: bool = (
        False  # something, although it is a GET: a page of another origin may not ask it by a cookie
    )
    by_link: bool = False  # whoever has a link to the turn may ask too, by `?key=`
    for_others: bool = False  # an admin may read so what is another's, by `?user_id=`; each time is noted
    dialect: str = ""
    """Which one its handler is to speak, where several routes share a handler; the model of the body at its door is
    the dialect's."""
    refuses: str = ""  # the dialect in whose words it refuses, where it speaks none
    wants_routes: bool = False  # its handler is given the whole table
    name: str = ""  # of its function in the Functions host; "" takes the handler's

    @property
    def function(self) -> str:
        """The name of its function in the Functions host."""
        return self.name or self.handler.partition(":")[2]

    @property
    def words(self) -> str:
        """The dialect in whose words it refuses, if that has any; "" refuses with problems."""
        return self.refuses or self.dialect


type Routes = Mapping[str, Mapping[str, Route]]  # path, method


def load(name: str, module: str = "schemas") -> Any:
    """What `module:name` names under `chat/routes`, or under its whole name, or `name` in a module of these.
    ImportError; AttributeError."""
    where, _, what = name.rpartition(":")
    where = where if where.startswith("chat.") else f"chat.routes.{where or module}"
    return getattr(import_module(where), what)
