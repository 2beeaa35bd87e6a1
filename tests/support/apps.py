"""An app of real parts over a store in memory and a scripted model."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from chat.app import ChatApp, authenticators
from chat.clock import SystemClock
from chat.dialects.catalogue import DIALECTS
from chat.providers.scripted import Script, ScriptedProvider
from chat.rooms.evictions import Evictions
from chat.turns.readers import Readers
from tests.support.memory_store import MemoryStore
from tests.support.provider_settings import settings_for
from tests.support.turns import CountingIds, make_runner


@dataclass(frozen=True)
class TestApp:
    """The app, and what a test wants to look at."""

    __test__ = False
    app: ChatApp
    store: MemoryStore
    provider: ScriptedProvider

    async def wait_for_turns(self) -> None:
        """Until no turn runs here any more."""
        async with asyncio.timeout(5):
            while self.app.runner.running:  # noqa: ASYNC110
                await asyncio.sleep(0.005)


def make_app(*scripts: Script, settings: Mapping[str, str] | None = None) -> TestApp:
    """`settings` are rows of the settings' table."""
    loaded = settings_for("http://127.0.0.1:9/openai/v1", **(settings or {}))
    clock, store, provider = SystemClock(), MemoryStore(), ScriptedProvider(*scripts)
    runner = make_runner(store=store, provider=provider, clock=clock)

    async def check_store() -> None:
        return

    app = ChatApp(
        settings=loaded,
        clock=clock,
        ids=CountingIds(),
        conversations=store,
        turns=store,
        runner=runner,
        readers=Readers(store, store),
        evictions=Evictions(store, store, None, DIALECTS),
        dialects=DIALECTS,
        authenticators=authenticators(loaded),
        check_store=check_store,
        model_states=lambda: {"SCRIPTED": "closed"},
        close=runner.drain,
    )
    return TestApp(app, store, provider)
