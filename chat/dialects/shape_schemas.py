"""What `shapes.py` shows, as models: for the OpenAPI document, and for tests, which hold what is really said against
them. Nothing is written through them: that would cost time with every frame."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chat.events import JSON, JSONObject
from chat.schemas.fields import examples

type Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
type Role = Literal["viewer", "editor", "owner"]
type Place = Annotated[str, Field(pattern=r"^\d+\.\d+$")]
type Seq = Annotated[int, Field(ge=0, le=99_999_999)] | Place
"""The number of a frame's event, or "N.k" for the k-th further frame of event N: what `after` takes."""


class Shown(BaseModel):
    """What the app says. A field with a default is a key that may be missing."""


class SessionMember(Shown):
    user_id: str
    role: Role


class Member(SessionMember):
    """Somebody who may be in a session, or is invited to it, and whether they are there."""

    status: Literal["member", "invited"]
    online: bool
    last_seen: Time | None


class Session(Shown):
    """A conversation, with whoever is in it."""

    model_config = examples(
        {
            "id": "01M7XPW0CR0G6VR995BYNKAPKH",
            "title": "Trip",
            "user_id": "ann",
            "llm_provider": "AZURE",
            "llm_model": "",
            "created_at": "2026-11-21T00:07:33.016Z",
            "updated_at": "2026-11-21T00:07:33.016Z",
            "is_active": True,
            "message_count": 2,
            "settings": {"temperature": 0.3},
            "summary": "",
            "running_turn": None,
            "members": [{"user_id": "ann", "role": "owner"}],
        }
    )

    id: str
    title: str | None
    user_id: str  # the owner
    llm_provider: str
    llm_model: str
    created_at: Time
    updated_at: Time
    is_active: bool
    message_count: int
    settings: JSONObject
    summary: str
    running_turn: str | None
    members: list[SessionMember]


class Message(Shown):
    """A message of a session. `truncated`: a frame holds its beginning alone."""

    model_config = examples(
        {
            "id": "01M7YZBTD6XHQ1EZXSPBNBN17J-00000004",
            "session_id": "01M7YZBTD6XHQ1EZXSPBNBN17J",
            "role": "assistant",
            "content": "word1 word2",
            "created_at": "2026-11-21T11:55:14.445Z",
            "updated_at": "2026-11-21T11:55:16.779Z",
            "is_streaming": False,
            "llm_provider": "AZURE",
            "llm_model": "gpt-5-mini-2025-08-07",
            "response_time_ms": 2358,
            "tokens_used": 40,
            "error_message": None,
            "metadata": {},
            "status": "complete",
            "author": None,
            "parent_message_id": "01M7YZBTD6XHQ1EZXSPBNBN17J-00000003",
            "thread_id": None,
            "reactions": [],
            "files": [],
        }
    )

    id: str
    session_id: str
    role: Literal["user", "assistant", "system"]
    content: str
    created_at: Time
    updated_at: Time
    is_streaming: bool
    llm_provider: str | None
    llm_model: str | None
    response_time_ms: int | None
    tokens_used: int | None
    error_message: str | None
    metadata: JSONObject
    status: Literal["streaming", "complete", "cancelled", "interrupted", "failed"]
    author: str | None
    parent_message_id: str | None
    thread_id: str | None
    reactions: list[JSONObject]
    files: list[JSONObject]
    truncated: bool = False


class Failure(Shown):
    """Why a turn failed."""

    code: str
    message: str
    retryable: bool


class Usage(Shown):
    """Tokens of a turn. What no service counted is estimated."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated: bool


class Attempt(Shown):
    """One model call. `outcome` is why the model stopped, or the code of the error that ended it."""

    model_config = ConfigDict(extra="allow")

    provider: str
    model: str
    outcome: str
    seconds: float = 0


class Turn(Shown):
    """One question and all that answers it; its id is that of the answer's message."""

    model_config = examples(
        {
            "id": "01M7XPTCBBF3P77ZEJSK5XCMWS-00000002",
            "session_id": "01M7XPTCBBF3P77ZEJSK5XCMWS",
            "status": "finished",
            "error": None,
            "pipeline": None,
            "last_event": 99999999,
            "started_at": "2026-11-21T00:06:39.790Z",
            "ended_at": "2026-11-21T00:06:40.264Z",
            "usage": {
                "prompt_tokens": 13,
                "completion_tokens": 16,
                "total_tokens": 29,
                "estimated": False,
            },
            "attempts": [{"provider": "AZURE", "model": "gpt-5-mini-2025-08-07", "outcome": "stop"}],
        }
    )

    id: str
    session_id: str
    status: Literal["running", "finished", "failed", "cancelled"]
    error: Failure | None
    pipeline: str | None
    last_event: int
    started_at: Time
    ended_at: Time | None
    usage: Usage | None
    attempts: list[Attempt]


class ProblemDetails(Shown):
    """What went wrong, in a sentence; `field` is what is wrong in a 422, others are the error's own."""

    model_config = ConfigDict(extra="allow")

    message: str
    field: str = ""


class Problem(Shown):
    """Every reply that is no success. `error_code` is one of docs/errors.md, to which more may come."""

    error: str
    error_code: Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")]
    details: ProblemDetails
    timestamp: Time


class Poi(Shown):
    """A place of a trip. One that the caller gave has the keys that it came with; without a plan maybe no `id`."""

    model_config = ConfigDict(extra="allow")

    id: str | int | None = None
    name: str | None = None
    kind: str | None = None
    city: str | None = None
    country: JSON = None
    lat: JSON = None
    lon: JSON = None
    hours: JSON = None
    why: JSON = None


class TripRequirement(Shown):
    """What a trip has to fulfil."""

    model_config = ConfigDict(extra="allow")

    description: str | None = None
    priority: str | None = None


class TripVisit(Shown):
    """From when to when one is where."""

    model_config = ConfigDict(extra="allow")

    start: str | None = None
    end: str | None = None
    poi_id: str | int | None = None
    name: str | None = None
    note: str | None = None


class TripDay(Shown):
    model_config = ConfigDict(extra="allow")

    day: JSON = None
    city: str | None = None
    items: list[TripVisit] | None = None


class TripOption(Shown):
    """One plan of those to choose among."""

    model_config = ConfigDict(extra="allow")

    title: str | None = None
    summary: str | None = None
    days: list[TripDay] | None = None


class Intent(Shown):
    """What a message wants changed."""

    intent: Literal[
        "set_city",
        "set_days",
        "add_poi",
        "remove_poi",
        "add_requirement",
        "remove_requirement",
        "change_plan",
        "other",
    ]
    action: Literal["add", "remove", "set", "none"]
    value: str
