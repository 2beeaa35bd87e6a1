"""The form of a row in the table of settings."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `read` turns the text into the value and raises ValueError for a bad one."""

    name: str
    default: str
    help: str
    read: Callable[[str], object]
    secret: bool = False


def setting(
    name: str, default: str, help: str, read: Callable[[str], object] = str, *, secret: bool = False
) -> Any:
    """A field of `Settings` together with its row of the table. A default of "" means: not set."""
    return field(metadata={"setting": Setting(name, default, help, read, secret)})
