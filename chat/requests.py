"""What callers ask for. Every protocol reads its own words into these values, and the core knows no others."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal, get_args

from chat.calls import Approval, ToolDefinition
from chat.events import JSONObject, empty_object
from chat.messages import MessageDraft
from chat.reply_options import ReplyOptions

TRIP = "trip"
"""The pipeline of the trip planner."""

type TripStage = Literal["intents", "pois", "requirements", "plan"]
TRIP_STAGES: tuple[TripStage, ...] = get_args(TripStage.__value__)
"""In the order in which they are made."""

type OnBusy = Literal["reject", "queue", "interrupt"]
"""What becomes of a message to a session whose turn runs still."""


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """One turn, as a caller asks for it. Checked by the edge that read it, and carried whole by whatever comes of it:
    the message that waits, the draft, the turn."""

    user_id: str
    content: str = ""  # the user's message, or
    message_id: str = ""  # the stored one to answer
    waited: bool = False  # which waited for this turn
    session_id: str = ""  # "" makes a new session
    history: tuple[MessageDraft, ...] = ()  # what a new session begins with
    transcript: tuple[MessageDraft, ...] = ()
    """All that the model is shown, question and what came after it included, where the caller keeps the conversation.
    The session that such a request makes has the question and its answer alone, and is not listed."""
    follows: int = (
        0  # the number of the answer that it follows, after which nothing may have been said; 0 is the last
    )
    origin: str = ""  # the session whose settings and model a new one takes
    parent_message_id: str = ""  # the message that the user's one replies to
    nonce: str = ""  # the Idempotency-Key; "" gets a new one
    promised: str = ""  # the id of the session that it makes, where one was given away to its key
    settings: JSONObject = field(default_factory=empty_object)  # for this turn, over those of the session
    options: ReplyOptions = field(default_factory=ReplyOptions)
    provider: str = ""  # the model service of the session that it makes; "" is the usual one
    tools: tuple[ToolDefinition, ...] = ()  # tools that the caller runs
    continued: MessageDraft | None = None
    """The answer so far, with what was said to its calls: the turn goes on from it."""
    on_behalf_of: str = ""  # with whose access tools run; "" is the user's own
    pipeline: str = ""  # the source that makes the turn; "" is the plain one
    input: JSONObject = field(default_factory=empty_object)
    """What the pipeline begins with: what its caller has (`given`), and results that are taken over (`done`)."""
    dialect: str = "delta"
    client: JSONObject = field(default_factory=empty_object)
    """What the dialect needs to know when it shows the turn, now or later."""

    @property
    def key(self) -> str:
        """By which the request is known when it comes again; "" without an Idempotency-Key. A key is its user's."""
        if not self.nonce:
            return ""
        return (
            "k-" + hashlib.sha256(f"{self.user_id}\n{self.nonce}".encode("utf-8", "replace")).hexdigest()[:32]
        )

    @property
    def beneficiary(self) -> str:
        """With whose access the turn's tools run."""
        return self.on_behalf_of or self.user_id

    @property
    def question(self) -> MessageDraft:
        """The user's message."""
        return MessageDraft(
            "user", self.content, author=self.user_id, parent_message_id=self.parent_message_id
        )

    @property
    def kept(self) -> "TurnRequest":
        """What its turn keeps of it: text and history have their places elsewhere, the rest has done its work."""
        return TurnRequest(
            self.user_id,
            on_behalf_of=self.on_behalf_of,
            pipeline=self.pipeline,
            input=self.input,
            dialect=self.dialect,
            client=self.client,
        )


@dataclass(frozen=True, slots=True)
class Say:
    """A message on a socket; with `reply` it is answered, by the pipeline that is named."""

    text: str
    request_id: str = ""  # by which its sender wants to hear what became of it
    reply: bool = True
    parent_message_id: str = ""
    pipeline: str = ""
    input: JSONObject = field(default_factory=empty_object)
    session_id: str = ""  # in which its sender believes to be; "" does not say


@dataclass(frozen=True, slots=True)
class Approve:
    """What a socket says to the calls that wait for an approval."""

    approvals: tuple[Approval, ...]
    request_id: str = ""  # by which its sender wants to hear which turn goes on


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop a turn of the session."""

    turn_id: str = ""  # "" is the one that runs


@dataclass(frozen=True, slots=True)
class Resume:
    """Show a turn from after an event on: from after its first payload, and so many `further` ones."""

    turn_id: str
    after: int
    further: int = 0


@dataclass(frozen=True, slots=True)
class Typing:
    """Its sender types, or does no more."""

    is_typing: bool


@dataclass(frozen=True, slots=True)
class Answered:
    """What the dialect answers by itself, to its sender alone."""

    frame: JSONObject | str


@dataclass(frozen=True, slots=True)
class Ask:
    """A request as at a door, whose answer comes in frames of its own."""

    request_id: str
    body: object  # what the door of the dialect reads


@dataclass(frozen=True, slots=True)
class Watch:
    """A request to be shown the turn that runs in a chat, from its beginning."""

    request_id: str
    chat: str  # its name, a session's id, or that of the turn


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop the turn that a request asked for. One that is merely watched goes on."""

    request_id: str


type SessionAction = Say | Approve | Cancel | Resume | Typing | Answered
"""On sockets that watch a session."""

type RequestAction = Ask | Watch | Abort
"""On those whose requests are answered one by one."""

type Action = SessionAction | RequestAction
