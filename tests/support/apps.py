"""An app of real parts over a store in memory, a scripted model and, where asked for, sockets in memory."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat.app import ChatApp, assemble_app
from chat.clock import Clock, SystemClock
from chat.dialects.catalogue import DIALECTS
from chat.process import Closing
from chat.providers.scripted import Script, ScriptedProvider
from chat.push.base import PushService
from chat.rooms.sockets import NoSockets, Sockets, build_sockets
from chat.store.limit_store import LimitStore
from chat.tools.base import NoTools
from chat.turns.base import TurnSource
from chat.turns.limiter import open_limiter
from tests.support.memory.limits import MemoryLimits
from tests.support.memory.store import MemoryStore
from tests.support.provider_settings import settings_for
from tests.support.turns import make_ports, make_runner


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


def make_app(
    *scripts: Script,
    settings: Mapping[str, str] | None = None,
    sources: Mapping[str, TurnSource] | None = None,
    store: Any = None,
    clock: Clock | None = None,
    push: PushService | None = None,
    per_session: int = 1000,
    per_user: int = 1000,
    turn_limit: float = 300.0,
    limits: LimitStore | None = None,
) -> TestApp:
    """`settings` are rows of the settings' table. With `push` there are sockets."""
    store, clock, provider = store or MemoryStore(), clock or SystemClock(), ScriptedProvider(*scripts)
    closing, settings_ = Closing(), settings_for("http://127.0.0.1:9/openai/v1", **(settings or {}))
    sockets = make_sockets(store, push, clock, per_session, per_user) if push else NoSockets()
    closing.add(sockets)
    app = assemble_app(
        settings_,
        make_ports(store, clock),
        make_runner(
            store=store,
            provider=provider,
            sources=sources,
            clock=clock,
            turn_limit=turn_limit,
            watcher=sockets.watcher,
        ),
        members=store,
        audit=store,
        requests=store,
        keys=store,
        sockets=sockets,
        tools=NoTools(),
        check_store=_is_there,
        model_states=lambda: {"SCRIPTED": "closed"},
        closing=closing,
        limiter=closing.add(open_limiter(settings_, limits or MemoryLimits(clock), clock)),
    )
    return TestApp(app, store, provider)


def make_sockets(
    store: Any, push: PushService, clock: Clock, per_session: int = 1000, per_user: int = 1000
) -> Sockets:
    ports = make_ports(store, clock)
    return build_sockets(push, store, ports, DIALECTS, per_session=per_session, per_user=per_user)


async def _is_there() -> None:
    return
