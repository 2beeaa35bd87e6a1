"""Sockets that named no session when they opened: each is promised one, which is made when it says something."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

KEPT = 10_000  # sockets that named no session


@dataclass(slots=True)
class Newcomer:
    """What one process knows of such a socket."""

    session_id: str
    made: bool = False  # its session is there
    left: bool = False
    making: asyncio.Lock = field(default_factory=asyncio.Lock)  # of what comes at once, one makes it


class Newcomers:
    """By connection. What is not known here, or was forgotten, the store knows."""

    def __init__(self) -> None:
        self._known = OrderedDict[str, Newcomer]()

    def get(self, connection_id: str, session_id: str) -> Newcomer:
        """The one that is known, whatever its session; else a new one of this session."""
        newcomer = self._known.setdefault(connection_id, Newcomer(session_id))
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return newcomer
