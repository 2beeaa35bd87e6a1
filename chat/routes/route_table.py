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
    """What one method of a path does. `handler`, and the pydantic model in `body`, are named `module:name` under
    `chat/routes`."""

    handler: str
    summary: str = field(compare=False)  # rows that differ in it alone share a function
    body: str = ""
    again: str = ""
    """What answers a repeat under its Idempotency-Key, from the ids of what was made. A row that makes something has
    one, and tells by `once:note_made` what it made."""
    needs_body: bool = True  # else no body at all stands for an empty object
    who: Literal["anyone", "caller", "admin"] = "caller"
    """Who may ask: strangers too, who is known, or admins alone."""
    role: Literal["", "viewer", "editor", "owner"] = ""
    """The least that one must be in the session that it is about."""
    scope: Literal["", "read", "write", "manage"] = ""
    """What a limited credential must be good for; "" is `read` for GET and HEAD, and `write` for the others."""
    for_others: bool = False  # an admin may read so what is another's, by `?user_id=`; each time is noted
    dialect: str = ""
    """Which one its handler is to speak, where several routes share a handler; the model of the body at its door is
    the dialect's."""
    name: str = ""  # of its function in the Functions host; "" takes the handler's

    @property
    def function(self) -> str:
        """The name of its function in the Functions host."""
        return self.name or self.handler.partition(":")[2]


type Routes = Mapping[str, Mapping[str, Route]]  # path, method


def load(name: str) -> Any:
    """What `module:name` names under `chat/routes`. ImportError; AttributeError."""
    module, _, name = name.partition(":")
    return getattr(import_module(f"chat.routes.{module}"), name)
