"""What routes answer, as models, as far as `shape_schemas.py` has it not. Nothing is written through them."""

from typing import Annotated, Literal

from pydantic import Field

from chat.dialects import shape_schemas
from chat.dialects.shape_schemas import Intent, Member, Poi, Shown, Time, TripOption, TripRequirement
from chat.schemas.fields import examples

Session = shape_schemas.Session
Message = shape_schemas.Message
Turn = shape_schemas.Turn

type Status = Literal["healthy", "degraded", "unhealthy"]


class Page(Shown):
    """A part of a list. `next_cursor` leads to the next one."""

    page: int
    page_size: int
    has_more: bool
    next_cursor: str | None


class Sessions(Page):
    """`total_count` are all of them; null for more than 10,000."""

    sessions: list[Session]
    total_count: int | None


class Messages(Page):
    """`total_count` and `total` are all messages of the session."""

    session_id: str
    messages: list[Message]
    total_count: int
    total: int


class SessionDeleted(Shown):
    message: str
    id: str


class Members(Shown):
    """Who may be in a session, and who is there."""

    session_id: str
    members: list[Member]


class MemberRemoved(Shown):
    message: str
    session_id: str
    user_id: str


class Trip(Shown):
    """A plan, whole; with 202 as far as it is, `[]` for what is not done."""

    intents: list[Intent]
    pois: list[Poi]
    requirements: list[TripRequirement]
    plan: list[TripOption]
    session_id: str
    turn_id: str


class SocketAddress(Shown):
    """Where to connect, until when, and what is spoken there."""

    model_config = examples(
        {
            "url": "wss://parley.webpubsub.azure.com/client/hubs/chat?access_token=...&ticket=...",
            "protocol": None,
            "dialect": "chat",
            "session_id": "01M7YBNN90NESCHZT6MMHE030F",
            "expires_at": "2026-11-21T06:16:05.000Z",
        }
    )

    url: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    protocol: str | None
    dialect: str
    session_id: str
    expires_at: Time


class StoreHealth(Shown):
    status: Status
    latency_ms: float | None


class ModelHealth(Shown):
    breaker: Literal["closed", "open", "half_open"]


class AuthHealth(Shown):
    status: Status
    reason: str = ""


class Dependencies(Shown):
    store: StoreHealth
    models: dict[str, ModelHealth]
    auth: AuthHealth


class Health(Shown):
    """How the service is; `active_connections` is null while nobody knows."""

    service: str
    status: Status
    timestamp: Time
    active_connections: int | None
    running_turns: int
    dependencies: Dependencies
    version: str
