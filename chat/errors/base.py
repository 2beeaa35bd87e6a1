"""The root of all errors, and how the class of one is told from its code."""

import functools
from collections.abc import Mapping
from typing import ClassVar


class ChatError(Exception):
    """Something went wrong on our side.

    The root of all errors. The first line of a class is its `message`, where none is given. It may be shown to the
    caller, and never holds a secret or another user's data.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "", *, details: Mapping[str, object] | None = None) -> None:
        self.message = message or (self.__doc__ or "").split("\n")[0]
        self.details: dict[str, object] = dict(details or {})
        super().__init__(self.message)


def error_name(code: str) -> str:
    """The class of an error that was stored as its code, for example in a `TurnFailed`."""
    return _names().get(code, ChatError.__name__)


@functools.cache
def _names() -> Mapping[str, str]:
    """The code of each class. One that inherits its code is told as the class it has it from."""
    names: dict[str, str] = {}
    waiting: list[type[ChatError]] = [ChatError]
    for kind in waiting:
        names.setdefault(kind.code, kind.__name__)
        waiting += kind.__subclasses__()
    return names
