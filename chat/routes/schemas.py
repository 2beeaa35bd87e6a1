"""The request bodies and queries of the HTTP edge."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
)

from chat.errors import ValidationError
from chat.events import JSONObject
from chat.requests import TRIP, TripStage
from chat.routes.tool_schemas import ClientTool, ClientToolOutputs, ClientTools
from chat.schemas.approvals import CallApprovals
from chat.schemas.fields import (
    PROVIDER,
    Body,
    Content,
    Flag,
    Id,
    Number,
    ShownAs,
    Whole,
    check_json_size,
    examples,
    validate,
)
from chat.schemas.trip_state import TripState
from chat.user_ids import read_user_id

OBJECT_BYTES = 16 * 1024  # of metadata and settings


def _small(value: object) -> object:
    return check_json_size(value, OBJECT_BYTES)


def _user_id(value: str) -> str:
    try:
        return read_user_id(value)
    except ValidationError as error:
        raise ValueError(error.message) from None


type SmallObject = Annotated[JSONObject, BeforeValidator(_small)]
type UserId = Annotated[Id, Field(min_length=1), AfterValidator(_user_id)]
type Provider = Annotated[str, Field(pattern=PROVIDER)]


class ChatSettings(BaseModel):
    """The settings of a session, or of one turn, that mean something here; others are kept as they are."""

    model_config = ConfigDict(extra="allow")

    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=1_000_000)] | None = None
    system_prompt: str | None = None


def _known(value: JSONObject) -> JSONObject:
    """Strings that look like numbers are numbers from here on."""
    try:
        known = validate(ChatSettings, value)
    except ValidationError as error:
        raise ValidationError(f"settings.{error.field}", error.message) from None
    return value | known.model_dump(exclude_unset=True)


type SettingsObject = Annotated[
    JSONObject, BeforeValidator(_small), AfterValidator(_known), ShownAs(ChatSettings)
]


class NewSessionBody(Body):
    """`POST /api/v1/chat/sessions`"""

    model_config = examples({"title": "Trip", "llm_provider": "AZURE", "settings": {"temperature": 0.3}})

    title: Annotated[str, Field(max_length=500)] = ""
    llm_provider: Provider | None = None
    llm_model: Annotated[str, Field(max_length=100)] = ""
    settings: SettingsObject = Field(default_factory=dict)


class SessionBody(Body):
    """`PUT /api/v1/chat/sessions/{id}`: what is not given stays."""

    model_config = examples({"title": "A trip to Kyoto"}, {"is_active": False})

    title: Annotated[str, Field(max_length=500)] | None = None
    is_active: Flag | None = None
    llm_provider: Provider | None = None
    llm_model: Annotated[str, Field(max_length=100)] | None = None
    settings: SettingsObject | None = None


class TurnBody(Body):
    """`POST /api/v1/chat/sessions/{id}/turns`: answers new content, or a stored message, or goes on with what is said
    to calls that wait."""

    model_config = examples(
        {"content": "What is our total revenue?"},
        {"message_id": "01M7XNHA5XT5A9JSFT52QBJFGY-00000003", "on_busy": "queue"},
        {"tool_outputs": [{"call_id": "call_1", "output": "red"}]},
        {"approvals": [{"call_id": "call_2", "approved": False, "reason": "Too expensive"}]},
    )

    content: Content | None = None
    message_id: Annotated[Id, Field(min_length=1)] | None = None
    dialect: Id | None = None
    pipeline: Id | None = None
    state: TripState | None = None
    on_busy: Literal["reject", "queue", "interrupt"] | None = None
    settings: SettingsObject = Field(default_factory=dict)
    tools: ClientTools = Field(default_factory=list[ClientTool])
    tool_outputs: ClientToolOutputs | None = None
    approvals: CallApprovals | None = None

    def check_question(self) -> None:
        """ValidationError unless it asks in exactly one way: of two, the second is one too many. Outputs and approvals
        go together."""
        ways = ("content", "message_id", "tool_outputs", "approvals")
        given = [name for name in ways if getattr(self, name) is not None]
        if not given or (len(given) > 1 and given != ["tool_outputs", "approvals"]):
            wrong = given[1] if given else "content"
            raise ValidationError(wrong, "Give one of content, message_id, and tool_outputs or approvals")

    def input_of(self, pipeline: str) -> JSONObject:
        """What the pipeline begins with. ValidationError for a state that is not its own."""
        if self.state is None:
            return {}
        if pipeline != TRIP:
            raise ValidationError("state", f"Only the pipeline {TRIP} has one")
        return self.state.input


class RegenerateBody(Body):
    """`POST /api/v1/chat/messages/{id}/regenerate`; may be empty."""

    model_config = examples({"dialect": "chat"})

    dialect: Id | None = None


class RerunBody(Body):
    """`POST /api/v1/chat/turns/{id}/rerun`"""

    model_config = examples({"from_stage": "requirements"})

    from_stage: TripStage


class MessageBody(Body):
    """`POST /api/v1/chat/sessions/{id}/messages`: stores it; the model is not asked."""

    model_config = examples({"content": "Hello", "metadata": {"page": 7}})

    content: Content
    role: Literal["user", "assistant", "system"] = "user"
    metadata: SmallObject = Field(default_factory=dict)
    parent_message_id: Id = ""


class MemberBody(Body):
    """`PUT /api/v1/chat/sessions/{id}/members/{user_id}`"""

    model_config = examples({"role": "editor"})

    role: Literal["viewer", "editor"]


class OwnerBody(Body):
    """`PUT /api/v1/chat/sessions/{id}/owner`"""

    model_config = examples({"user_id": "zelda"})

    user_id: UserId


class SocketQuery(BaseModel):
    """`GET /ws` and its like: `?session_id=&dialect=&protocol=`"""

    session_id: Id | None = Field(None, description="Whose turns it shows; a new session without it.")
    dialect: Id | None = Field(None, description="What is spoken there, instead of what this route is for.")
    protocol: Id | None = Field(None, description="Comes back as it is, for clients that choose by it.")


class CursorQuery(BaseModel):
    """`?page_size=&cursor=`"""

    page_size: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Id | None = Field(None, description="The `next_cursor` of a page: quicker than a late `page`.")


class PageQuery(CursorQuery):
    """`?page=&page_size=&cursor=`"""

    page: Annotated[int, Field(ge=1, le=10_000)] = 1


class MessagesQuery(PageQuery):
    """`before` is a message id or a time (ISO 8601): the nearest older ones are given, instead of a page."""

    order: Literal["asc", "desc"] = "asc"
    before: Id | None = Field(None, description="A message or a time: the nearest older ones are given.")


class StreamQuery(BaseModel):
    """`?dialect=`"""

    dialect: Id | None = Field(None, description="In which the stream is.")


class TurnQuery(StreamQuery):
    """`?dialect=&pipeline=`"""

    pipeline: Id | None = Field(None, description="`trip`: in stages, as a planner of trips.")


class FollowQuery(StreamQuery):
    """`?after=&dialect=`"""

    after: Id = Field("", description="The place of the last frame that came.")


class ReturnQuery(BaseModel):
    """`?threadId=&runId=&offset=&limit=&before=`, as clients of AG-UI write it."""

    threadId: Id | None = Field(None, description="Their own name of a conversation, or the id of a session.")
    runId: Id | None = Field(None, description="Their own name of a run, or the id of a turn.")
    offset: Literal["-1"] | None = Field(None, description="As a stream, from the first event on.")
    limit: Annotated[int, Field(ge=1, le=200)] = 200
    before: Id | None = Field(None, description="The `cursor` of a page: what is older.")
