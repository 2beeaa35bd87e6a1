"""The composition root: the only file that names concrete classes and puts them together.

Nothing is built at import time. The first request builds the app inside the running loop; the expensive SDKs are
imported then.
"""

import asyncio
import contextlib
import gc
import signal
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING

from chat.auth.base import Authenticator, Principal
from chat.auth.dev import DevAuthenticator
from chat.clock import Clock, Ids, SystemClock, UlidIds
from chat.dialects.base import Dialect
from chat.dialects.catalogue import DIALECTS
from chat.errors import Unauthenticated
from chat.messages import Message
from chat.news import News
from chat.providers.base import ModelProvider
from chat.providers.breaker import Breaker
from chat.providers.failover import Failover
from chat.providers.retry import RetryPolicy
from chat.requests import TRIP
from chat.rooms.evictions import Evictions
from chat.rooms.sockets import Sockets, StateKeys
from chat.settings import Settings, SettingsError, load_settings, on_laptop
from chat.store.conversation_store import ConversationStore
from chat.store.turn_store import TurnStore
from chat.telemetry import record_warning
from chat.tools.base import NoTools, ToolBox
from chat.tools.places import PlaceFinder
from chat.turns.base import TurnSource
from chat.turns.engine import ToolLimits, TurnEngine
from chat.turns.readers import Readers
from chat.turns.runner import TurnRunner
from chat.turns.tasks import TaskSet
from chat.turns.window import ContextWindow

if TYPE_CHECKING:
    from chat.store.tables.table_storage import TableStorage

VERSION = "0.1.0"
DRAINING = 3.0  # seconds that a shutdown may take
YOUNG = 2_000  # objects from which on the newest are walked; all of them after twelve times as many


@dataclass(slots=True)
class ChatApp:
    """One process's app."""

    settings: Settings
    clock: Clock
    ids: Ids
    conversations: ConversationStore
    turns: TurnStore
    runner: TurnRunner
    readers: Readers
    evictions: Evictions
    dialects: Mapping[str, Dialect]
    authenticators: tuple[Authenticator, ...]
    check_store: Callable[[], Awaitable[None]]  # raises StoreUnavailable
    model_states: Callable[[], Mapping[str, str]]  # each provider's breaker
    close: Callable[[], Awaitable[None]]
    tools: ToolBox = field(default_factory=NoTools)
    sockets: Sockets | None = None  # without a service that holds them
    tasks: TaskSet = field(default_factory=TaskSet)
    connections: int = 0  # streams that are open in this process

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who asks. Unauthenticated when no configured way knows them."""
        for authenticator in self.authenticators:
            principal = await authenticator.authenticate(headers)
            if principal is not None:
                return principal
        raise Unauthenticated

    def tell(self, session_id: str, news: News) -> None:
        """Show the room of a session what changed in it."""
        if self.sockets is not None:
            self.sockets.rooms.news.tell_later(session_id, news)

    def tell_message(self, message: Message) -> None:
        """Show the room a message that was stored beside any turn."""
        if self.sockets is not None:
            self.sockets.rooms.news.tell_message(message)


def build_app(settings: Settings) -> ChatApp:
    """Put an app together. Must run inside the event loop that will serve it."""
    from chat.providers.build import build_providers
    from chat.store.tables.table_storage import TableStorage
    from chat.tools.builtin import build_tools, place_finder

    clock = SystemClock()
    ids = UlidIds(clock)
    storage = TableStorage.open(settings)
    models = failover(settings, build_providers(settings), clock)
    window = context_window(settings, models, storage.conversations)
    places = place_finder(settings)
    tools = build_tools(settings, clock, places=places)
    sockets = open_sockets(settings, clock, storage)
    runner = TurnRunner(
        sources=turn_sources(settings, models, window, tools, places),
        conversations=storage.conversations,
        turns=storage.turns,
        instances=storage.instances,
        errands=storage.errands,
        clock=clock,
        ids=ids,
        window=settings.coalesce,
        turn_limit=settings.turn_max,
        history=settings.history_messages,
        watcher=sockets.rooms if sockets is not None else None,
    )
    tasks = TaskSet()
    readers = Readers(storage.conversations, storage.errands)
    evictions = Evictions(storage.conversations, storage.errands, sockets, DIALECTS)
    closing = (
        runner.drain,
        tasks.close,
        readers.aclose,
        evictions.aclose,
        *([sockets.aclose] if sockets is not None else []),
    )
    return ChatApp(
        settings=settings,
        clock=clock,
        ids=ids,
        conversations=storage.conversations,
        turns=storage.turns,
        runner=runner,
        readers=readers,
        evictions=evictions,
        dialects=DIALECTS,
        authenticators=authenticators(settings),
        check_store=storage.ping,
        model_states=lambda: models.states,
        tools=tools,
        sockets=sockets,
        tasks=tasks,
        close=in_turn(*closing, window.aclose, models.aclose, tools.aclose, storage.aclose),
    )


def in_turn(*closing: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
    """One after the other, as one."""

    async def close() -> None:
        for each in closing:
            await each()

    return close


def context_window(
    settings: Settings, models: ModelProvider, conversations: ConversationStore
) -> ContextWindow:
    """What the models are shown of a conversation."""
    return ContextWindow(
        models,
        conversations,
        system_prompt=settings.system_prompt,
        limit=settings.context_tokens,
        history=settings.history_messages,
    )


def turn_sources(
    settings: Settings, models: ModelProvider, window: ContextWindow, tools: ToolBox, places: PlaceFinder
) -> Mapping[str, TurnSource]:
    """What can make a turn, by the name of the pipeline."""
    from chat.pipelines.trip import trip_planner

    limits = ToolLimits(settings.tool_rounds, settings.tool_total)
    return {
        "": TurnEngine(models, window, tools=tools, limits=limits),
        TRIP: trip_planner(models, places),
    }


def open_sockets(settings: Settings, clock: Clock, storage: "TableStorage") -> Sockets | None:
    """What shows turns to sockets; None without a service that holds them."""
    if not (settings.web_pubsub or settings.web_pubsub_endpoint):
        return None
    from chat.push.web_pubsub import WebPubSub
    from chat.rooms.attendance import Attendance
    from chat.rooms.flood import FloodGuard
    from chat.rooms.rooms import Rooms

    push = WebPubSub(settings)
    rooms = Rooms(
        push=push,
        presence=storage.presence,
        conversations=storage.conversations,
        turns=storage.turns,
        instances=storage.instances,
        errands=storage.errands,
        dialects=DIALECTS,
    )
    attendance = Attendance(
        storage.presence,
        rooms,
        push,
        clock,
        per_session=settings.session_connections,
        per_user=settings.user_connections,
    )
    return Sockets(
        push,
        storage.presence,
        rooms,
        attendance,
        FloodGuard(clock.monotonic),
        StateKeys(push.keys, storage.errands),
        push.host,
        push.keys,
    )


def failover(settings: Settings, providers: Mapping[str, ModelProvider], clock: Clock) -> Failover:
    """The model services as one."""
    policy = RetryPolicy(settings.attempts, settings.retry_wait, settings.retry_after_max)
    breakers = {
        name: Breaker(failures=settings.breaker_failures, rest=settings.breaker_rest, clock=clock.monotonic)
        for name in providers
    }
    return Failover(providers, breakers, policy, clock=clock.monotonic)


def authenticators(settings: Settings) -> tuple[Authenticator, ...]:
    """The ways of CHAT_AUTH. `dev` believes everyone, so it is left out unless this is certainly a laptop."""
    unknown = set(settings.auth) - {"dev"}
    if unknown:
        raise SettingsError(f"CHAT_AUTH: {', '.join(sorted(unknown))} is not known; there is: dev")
    if "dev" in settings.auth and on_laptop():
        return (DevAuthenticator(),)
    record_warning(
        "nobody_can_sign_in", reason="CHAT_AUTH is dev, which is for laptops: every request is a 401"
    )
    return ()


_current: ChatApp | None = None


async def current_app() -> ChatApp:
    """This process's app, built on first use. SettingsError lists everything that is missing."""
    global _current
    if _current is None:
        _current = build_app(load_settings())
        _drain_on_sigterm(_current)
        _settle_heap()
    return _current


def _settle_heap() -> None:
    """What is loaded by now stays: collections need not walk it again (a tenth of a busy turn). What is made from now
    on is little, so all of it can be walked often: a failed call leaves a ring of frames, in which its error holds
    what was being read, and a process of few objects would keep those for five minutes and more."""
    gc.freeze()
    gc.set_threshold(YOUNG, 5, 1)


def _drain_on_sigterm(app: ChatApp) -> None:
    """End this process's turns properly when the platform stops it.

    The platform offers no hook. The handler that was there (the worker's web server has one, which ends the process as
    soon as no request is open) is called when our own end is done.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    closing: list[asyncio.Task[None]] = []

    async def drain() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAINING):
                await app.close()
        if callable(before):
            before(signal.SIGTERM, None)
        else:  # nobody else would end the process
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.raise_signal(signal.SIGTERM)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(lambda: closing.append(loop.create_task(drain())))

    signal.signal(signal.SIGTERM, handle)
