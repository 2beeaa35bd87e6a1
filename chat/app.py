"""The composition root: the only file that names concrete classes and puts them together.

Nothing is built at import time. The first request builds the app inside the running loop; the expensive SDKs are
imported then.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from chat.auth.apikey import KeyRing
from chat.auth.base import Authenticator, Principal
from chat.auth.ways import build_authenticators, find_principal
from chat.clock import Clock, Ids, SystemClock, UlidIds
from chat.conversation import Session
from chat.dialects.base import Dialect
from chat.dialects.catalogue import DIALECTS
from chat.messages import Message
from chat.news import News
from chat.process import Closing, close_on_sigterm, settle_heap
from chat.providers.base import ModelProvider
from chat.providers.breaker import Breaker
from chat.providers.failover import Failover
from chat.providers.retry import RetryPolicy
from chat.requests import TRIP, OnBusy, TurnRequest
from chat.rooms.evictions import Evictions
from chat.rooms.sockets import Audience, NoSockets, build_sockets
from chat.settings import Settings, load_settings
from chat.store.audit_store import AuditStore
from chat.store.conversation_store import ConversationStore, Waits
from chat.store.key_store import KeyStore
from chat.store.member_store import MemberStore
from chat.store.presence_store import PresenceStore
from chat.store.request_store import RequestStore
from chat.store.turn_store import TurnStore
from chat.tools.base import ToolBox
from chat.tools.places import PlaceFinder
from chat.turns.base import TurnSource
from chat.turns.engine import ToolLimits, TurnEngine
from chat.turns.feed import LiveTurn
from chat.turns.limiter import Limiter, open_limiter
from chat.turns.links import TurnLinks
from chat.turns.ports import TurnLimits, TurnPorts
from chat.turns.readers import Readers
from chat.turns.records import Records
from chat.turns.runner import TurnRunner
from chat.turns.stream_log import StreamLogs
from chat.turns.tasks import TaskSet
from chat.turns.waiting import WaitingMessages
from chat.turns.window import ContextWindow

VERSION = "0.1.0"


@dataclass(slots=True)
class ChatApp:
    """One process's app."""

    settings: Settings
    clock: Clock
    ids: Ids
    conversations: ConversationStore
    members: MemberStore
    turns: TurnStore
    audit: AuditStore
    requests: RequestStore
    runner: TurnRunner
    waiting: WaitingMessages
    readers: Readers
    logs: StreamLogs
    links: TurnLinks
    evictions: Evictions
    sockets: Audience
    dialects: Mapping[str, Dialect]
    authenticators: tuple[Authenticator, ...]
    keys: KeyStore  # of programs
    key_ring: KeyRing  # those of them that were here lately
    tools: ToolBox
    limiter: Limiter
    records: Records  # what is logged of sessions that are made
    tasks: TaskSet  # what goes on when its request has its reply
    check_store: Callable[[], Awaitable[None]]  # raises StoreUnavailable
    model_states: Callable[[], Mapping[str, str]]  # each provider's breaker
    close: Callable[[], Awaitable[None]]
    connections: int = 0  # streams that are open in this process

    async def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who asks. Unauthenticated, SignInUnavailable."""
        return await find_principal(self.authenticators, lambda way: way.authenticate(headers))

    async def ask(
        self, request: TurnRequest, on_busy: OnBusy | None = None, *, usual: OnBusy
    ) -> LiveTurn | Waits:
        """The turn that began, or the message that waits for one: as the caller says, else as CHAT_BUSY says, else as
        is `usual`. Raises as `WaitingMessages.ask`."""
        asked = await self.waiting.ask(request, on_busy or self.settings.busy or usual)
        if isinstance(asked, Waits) and asked.new:
            self.tell_message(asked.message)
        return asked

    async def answer_to(self, user_id: str, message: Message, *, patience: float) -> LiveTurn:
        """The turn that answers a message that waited. StillWaiting after `patience` seconds."""
        return await self.waiting.answer_to(user_id, message, patience=patience)

    def answer_left(self, session: Session) -> None:
        """Have what waits in a session answered, should nobody do so."""
        self.waiting.answer_left(session)

    def tell(self, session_id: str, news: News) -> None:
        """Show the room of a session what changed in it."""
        self.sockets.tell(session_id, news)

    def tell_message(self, message: Message) -> None:
        """Show the room a message that was stored beside any turn."""
        self.sockets.tell_message(message)


def build_app(settings: Settings) -> ChatApp:
    """Put an app together, from below. Must run inside the event loop that will serve it."""
    from chat.providers.build import build_providers, service_hosts
    from chat.store.tables.table_storage import TableStorage
    from chat.tools.builtin import build_tools, place_finder

    closing, clock = Closing(), SystemClock()
    storage = closing.add(TableStorage.open(settings))
    conversations = storage.conversations
    ports = TurnPorts(
        conversations,
        storage.turns,
        storage.instances,
        storage.errands,
        clock,
        UlidIds(clock),
        Records(service_hosts(settings)),
    )
    places = place_finder(settings)
    tools = closing.add(build_tools(settings, clock, places=places))
    models = closing.add(failover(settings, build_providers(settings), clock))
    window = closing.add(context_window(settings, models, conversations))
    sockets = closing.add(open_sockets(settings, ports, storage.presence))
    sources = turn_sources(settings, models, window, tools, places)
    limiter = closing.add(open_limiter(settings, storage.limits, clock))
    return assemble_app(
        settings,
        ports,
        TurnRunner(ports, sources, turn_limits(settings), sockets.watcher),
        members=storage.members,
        audit=storage.audit,
        requests=storage.requests,
        keys=storage.keys,
        sockets=sockets,
        tools=tools,
        check_store=storage.ping,
        model_states=lambda: models.states,
        closing=closing,
        limiter=limiter,
    )


def assemble_app(
    settings: Settings,
    ports: TurnPorts,
    runner: TurnRunner,
    *,
    members: MemberStore,
    audit: AuditStore,
    requests: RequestStore,
    keys: KeyStore,
    sockets: Audience,
    tools: ToolBox,
    check_store: Callable[[], Awaitable[None]],
    model_states: Callable[[], Mapping[str, str]],
    closing: Closing,
    limiter: Limiter,
) -> ChatApp:
    """What is the same over every store, model and socket service. `closing` holds these already."""
    evictions = closing.add(Evictions(ports.errands, sockets))
    readers = closing.add(Readers(ports.conversations, ports.errands, ports.clock))
    waiting = closing.add(WaitingMessages(ports, runner, limiter))
    tasks, key_ring = TaskSet(), KeyRing(keys, ports.clock)
    closing.push_async_callback(tasks.close)
    closing.push_async_callback(runner.drain)
    return ChatApp(
        settings=settings,
        clock=ports.clock,
        ids=ports.ids,
        conversations=ports.conversations,
        members=members,
        turns=ports.turns,
        audit=audit,
        requests=requests,
        runner=runner,
        waiting=waiting,
        readers=readers,
        logs=StreamLogs(),
        links=TurnLinks(ports.errands, ports.clock),
        evictions=evictions,
        sockets=sockets,
        dialects=DIALECTS,
        authenticators=build_authenticators(settings, ports.clock, closing, key_ring),
        keys=keys,
        key_ring=key_ring,
        tools=tools,
        limiter=limiter,
        records=ports.records,
        tasks=tasks,
        check_store=check_store,
        model_states=model_states,
        close=closing.aclose,
    )


def turn_limits(settings: Settings) -> TurnLimits:
    return TurnLimits(duration=settings.turn_max, window=settings.coalesce, history=settings.history_messages)


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


def open_sockets(settings: Settings, ports: TurnPorts, presence: PresenceStore) -> Audience:
    """What shows turns to sockets, where there is a service that holds them."""
    if not (settings.web_pubsub or settings.web_pubsub_endpoint):
        return NoSockets()
    from chat.push.web_pubsub import WebPubSub

    push = WebPubSub(settings)
    return build_sockets(
        push,
        presence,
        ports,
        DIALECTS,
        per_session=settings.session_connections,
        per_user=settings.user_connections,
        host=push.host,
        keys=push.keys,
    )


def failover(settings: Settings, providers: Mapping[str, ModelProvider], clock: Clock) -> Failover:
    """The model services as one."""
    policy = RetryPolicy(settings.attempts, settings.retry_wait, settings.retry_after_max)
    breakers = {
        name: Breaker(failures=settings.breaker_failures, rest=settings.breaker_rest, clock=clock.monotonic)
        for name in providers
    }
    return Failover(providers, breakers, policy, clock=clock.monotonic)


_current: ChatApp | None = None


async def current_app() -> ChatApp:
    """This process's app, built on first use. SettingsError lists everything that is missing."""
    global _current
    if _current is None:
        _current = build_app(load_settings())
        close_on_sigterm(_current.close)
        settle_heap()
    return _current
