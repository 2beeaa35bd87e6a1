"""Short builders for the tests of turns."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

from chat.clock import Clock
from chat.events import NumberedEvent, TextDelta, TurnEvent
from chat.providers.base import ModelProvider
from chat.providers.scripted import Line, Script, ScriptedProvider
from chat.requests import TurnRequest
from chat.turns.base import TurnSource, TurnWatcher
from chat.turns.engine import TurnEngine
from chat.turns.feed import EventFeed
from chat.turns.ports import TurnLimits, TurnPorts
from chat.turns.records import Records
from chat.turns.runner import TurnRunner
from chat.turns.window import ContextWindow
from tests.support.faults import Faults, port
from tests.support.memory.store import MemoryStore
from tests.support.virtual_time import VirtualClock

_count = itertools.count(1)


class CountingIds:
    """Ids of 26 characters that sort by the order in which they were made."""

    def new(self) -> str:
        return f"{next(_count):026d}"


class Link(Faults):
    """One instance's own way to a shared store, which can fail or hang without the others noticing.

    A link that is frozen and never thawed is what `kill -9` looks like to everyone else; one that is thawed later is
    a process that was stopped for a while, and whose calls then arrive late.
    """

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self._store = store

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(_self: "Link", *args: Any, **kwargs: Any) -> Any:
            return await method(*args, **kwargs)

        call.__name__ = name
        return functools.partial(port(call), self)


def make_engine(
    provider: ModelProvider, store: Any, *, limit: int = 100_000, history: int = 50
) -> TurnEngine:
    window = ContextWindow(provider, store, system_prompt="Be brief.", limit=limit, history=history)
    return TurnEngine(provider, window)


def make_ports(store: Any, clock: Clock | None = None, records: Records | None = None) -> TurnPorts:
    time = clock or VirtualClock()
    return TurnPorts(store, store, store, store, time, CountingIds(), records or Records())


def make_runner(
    *scripts: Script,
    store: Any,
    provider: ScriptedProvider | None = None,
    sources: Mapping[str, TurnSource] | None = None,
    clock: Clock | None = None,
    turn_limit: float = 300.0,
    watcher: TurnWatcher | None = None,
    records: Records | None = None,
) -> TurnRunner:
    """One instance. Several over the same store are several instances."""
    return TurnRunner(
        make_ports(store, clock, records),
        sources or {"": make_engine(provider or ScriptedProvider(*scripts), store)},
        TurnLimits(duration=turn_limit, window=0.0, history=50),
        watcher,
    )


def ask(
    content: str = "Hello",
    *,
    session_id: str = "",
    user_id: str = "ann",
    nonce: str = "",
    promised: str = "",
) -> TurnRequest:
    return TurnRequest(user_id, content=content, session_id=session_id, nonce=nonce, promised=promised)


def lines(count: int, pause: float) -> list[Line]:
    """`w1 w2 ...`, one piece after every pause."""
    said: list[Line] = []
    for number in range(1, count + 1):
        said += [pause, f"w{number} "]
    return said


def words(count: int) -> str:
    return "".join(f"w{number} " for number in range(1, count + 1))


async def read(feed: EventFeed, *, after: int = 0, until: int | None = None) -> list[NumberedEvent]:
    """Follow a feed to its end, or until an event with that number came."""
    got: list[NumberedEvent] = []
    async with aclosing(feed.follow(after=after)) as batches:
        async for batch in batches:
            got += batch
            if until is not None and got[-1].number >= until:
                break
    return got


def text_of(events: Sequence[NumberedEvent]) -> str:
    return "".join(each.event.text for each in events if isinstance(each.event, TextDelta))


def kinds(events: Sequence[NumberedEvent]) -> list[str]:
    return [type(each.event).__name__ for each in events]


def last(events: Sequence[NumberedEvent]) -> TurnEvent:
    return events[-1].event
