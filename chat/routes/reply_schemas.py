"""What routes answer, as models, as far as `shape_schemas.py` has it not. Nothing is written through them."""

from typing import Annotated, Literal

from pydantic import Field

from chat.credentials import Scope
from chat.dialects import shape_schemas
from chat.dialects.shape_schemas import Intent, Member, Poi, Role, Shown, Time, TripOption, TripRequirement
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


class Invitation(Shown):
    """To a session, of which nothing that was said in it is shown."""

    session_id: str
    title: str | None
    invited_by: str
    role: Role
    invited_at: Time
    expires_at: Time


class Invitations(Page):
    """`total_count` are all that are open."""

    invitations: list[Invitation]
    total_count: int | None


class Declined(Shown):
    message: str
    session_id: str


class Key(Shown):
    """An API key, without the key itself."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: Time
    expires_at: Time
    last_used_at: Time | None


class NewKey(Key):
    """`key` is the key itself, which is shown this once."""

    key: str


class Keys(Shown):
    keys: list[Key]


class KeyRevoked(Shown):
    message: str
    id: str


class LimitsSet(Shown):
    """What is null is not limited, or as the settings say."""

    requests: int | None
    per_seconds: float | None
    tokens_per_day: int | None


class Quota(Shown):
    """How much of a limit is left, and in how many seconds it is whole again."""

    limit: int
    remaining: int
    reset_seconds: int


class TokenQuota(Quota):
    used: int
    held: int


class Limits(Shown):
    """What a user may, and what is left of it."""

    user_id: str
    limits: LimitsSet
    override: LimitsSet
    requests: Quota | None
    tokens: TokenQuota | None


class AuditLine(Shown):
    """Who did what, with what is whose."""

    at: Time
    actor: str
    action: str
    user_id: str
    path: str
    to: str


class Audit(Shown):
    """Newest first."""

    entries: list[AuditLine]
    page_size: int
    has_more: bool
    next_cursor: str | None


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
    ways: list[str] = Field(default_factory=list[str])


class ToolServerHealth(Shown):
    """A server of tools; `withheld` are those that are not what they were."""

    status: Literal["healthy", "failing", "unreachable", "unlisted"]
    tools: int
    withheld: list[str]


class Dependencies(Shown):
    store: StoreHealth
    models: dict[str, ModelHealth]
    auth: AuthHealth
    tools: dict[str, ToolServerHealth] = Field(default_factory=dict[str, ToolServerHealth])


class Health(Shown):
    """How the service is; `active_connections` is null while nobody knows."""

    service: str
    status: Status
    timestamp: Time
    active_connections: int | None
    running_turns: int
    dependencies: Dependencies
    version: str
