"""The port of what all instances share: errands, which somebody has to do, and secrets."""

from dataclasses import dataclass
from typing import Literal, Protocol

type ErrandKind = Literal["answer", "evict", "revoke", "tell"]

CLAIMED = 120.0
"""Seconds for which an errand is left to whoever claimed it."""


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be done although the process that began it may end, noted before anything depends on it:
    `answer` what waits in a session, `evict` from it the sockets of a user who was taken out ("" is everybody: the
    session is deleted), `tell` its sockets the end of a turn; and `revoke` what was opened with an API key, whose id
    stands in place of the session's."""

    kind: ErrandKind
    session_id: str
    user_id: str = ""
    turn_id: str = ""
    age: float = 0.0  # seconds since it was noted or claimed last, by the service's clock
    version: str = ""
    claimed: bool = False  # by somebody who may be at it


class ErrandStore(Protocol):
    """What is to be done, and what nobody else may know. Who may ask is checked before."""

    async def note_errand(self, errand: Errand) -> None:
        """Note it, or that it is to be done once more."""
        ...

    async def list_errands(self, kind: ErrandKind) -> list[Errand]: ...

    async def end_errand(self, errand: Errand) -> None:
        """It is done, unless it was noted again since it was listed."""
        ...

    async def claim_errand(self, errand: Errand) -> bool:
        """Take it on, whether it is noted or not. False when somebody else did in the last CLAIMED seconds, or it was
        listed and is done since."""
        ...

    async def secret(self, name: str) -> str:
        """A random text that all instances share, made by whoever asks first."""
        ...
