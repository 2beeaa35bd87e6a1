"""What a dialect is: what one wire protocol reads and what it says.

What it says of a turn is made from events and from nothing else. Encoders are pure. They read no
clock, no random number and no setting, so "go on after payload N" is "encode again and skip N", on any instance and at
any time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from pydantic import BaseModel

from chat.calls import CallAnswer, ToolDefinition
from chat.conversation import Turn
from chat.errors import ChatError
from chat.events import (
    JSON,
    JSONObject,
    NumberedEvent,
    TurnFailed,
)
from chat.messages import Message
from chat.news import News, Welcome
from chat.requests import Action, Approve, Say, TurnRequest


class Encoder(Protocol):
    """Encodes one turn, from its first event on."""

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        """The payloads of one event; often none."""
        ...


def read_arguments(text: str) -> JSON:
    """The arguments of a tool call as JSON. ValueError for what is none, and for what could be read but not written
    again, such as half a surrogate pair or what is nested too deeply: it would tear the stream, now and with every
    repeat."""
    arguments = orjson.loads(text or "{}")
    try:
        orjson.dumps([[[[[[[[arguments]]]]]]]])  # frames go around it
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from None
    return arguments


def plain_error(error: ChatError) -> JSONObject:
    """As `TurnFailed` looks in most dialects."""
    said: JSONObject = {"message": error.message, "code": error.code, "retryable": error.retryable}
    return {"type": "error", **said, **wrong_field(error), **when_again(error)}


def when_again(error: ChatError) -> JSONObject:
    """The seconds after which to ask again, if an error of ours names them, as `retry_after`."""
    seconds = error.details.get("retry_after")
    return {"retry_after": seconds} if isinstance(seconds, int | float) else {}


def wrong_field(error: ChatError) -> JSONObject:
    """The field that an error names, if it names one, as `field`."""
    field = error.details.get("field")
    return {"field": str(field)} if field else {}


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Framing:
    """How payloads are written into the body of a stream."""

    content_type: str
    frame: Callable[[JSONObject, str], bytes]
    """Of a payload and its id: the number of its event, or "N.k"; "" has none."""
    heartbeat: bytes  # what shows that the connection lives, and says nothing
    done: bytes = b""  # what stands at the end of every stream
    headers: Callable[[Turn], Mapping[str, str]] = lambda _: {}  # what else its clients look for


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks at a door, and what they may."""

    user_id: str
    nonce: str  # their Idempotency-Key, or ""
    message_bytes: int  # that a message may have
    headers: Mapping[str, str] = field(default_factory=dict[str, str])  # by names in lower case
    models: Mapping[str, str] = field(default_factory=dict[str, str])
    """The model services that may be asked, by the names of their models."""
    tools: tuple[ToolDefinition, ...] = ()  # ours, which the model is told of
    path: str = ""  # that was asked, for a door that several routes lead to


@dataclass(frozen=True, slots=True)
class Asked:
    """What was read at a door: a turn, and whether its answer comes as a stream or whole."""

    request: TurnRequest
    stream: bool = True
    chat: str = ""
    """The caller's own name of the conversation, where they have one: a session's id, or an alias, whose
    session is made with the first request."""
    answers: tuple[CallAnswer, ...] = ()  # to the calls that an answer of the conversation waits with
    after: str = ""
    """The id of the turn whose answer this follows: what was said later does not count. Where something was, a new
    session begins with what was said up to there."""
    stateless: bool = False  # who asks keeps the conversation: what comes of it is in no list
    waits: bool = True  # for the answer, where that comes whole; else a reply tells how it stands at once
    anew: str | None = None
    """A message of the chat whose question is answered anew: by its id, else the last one that asked the same, else the
    last one. In a new chat the question is new."""


@dataclass(frozen=True, slots=True)
class Door[Body: BaseModel]:
    """A route of the dialect's own. What is None is done as everywhere else: a refusal is a problem."""

    body: type[Body]  # of its requests
    read: Callable[[Body, Asker], Asked]
    """ValidationError, TooLarge."""
    framing: Framing | None = None  # of its stream; None: the dialect's
    failed: Callable[[Turn, TurnFailed], Reply] | None = None  # a turn that failed before it said anything
    refusal: Callable[[ChatError], Reply] | None = None
    """What is refused without a turn, here and on every route that names the dialect; its model is `REFUSED`."""
    whole: Callable[[Turn, Sequence[NumberedEvent]], Reply] | None = None  # of a turn, even if it runs
    patience: float = 0.0  # seconds that a caller waits for a whole reply
    key: tuple[str, ...] = ()
    """Names of the field of the body that says which request it is, where there is no Idempotency-Key."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Those that it reads, and what they say: for the document."""
    signs_in_by: str = ""
    """The path of what tells a stranger where to sign in (RFC 9728); "" says no more than that they must."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message, and the calls of tools that it keeps, as `turns/tool_history.py` has them."""

    message: Message
    calls: Sequence[JSONObject] = ()


@dataclass(frozen=True, slots=True)
class Past:
    """A conversation as it stands, for a caller who comes back to it."""

    user_id: str  # theirs
    name: str  # as they call it
    session_id: str
    said: Sequence[Spoken] = ()  # without the answer of the turn that runs
    running: Turn | None = None
    older: str = ""  # the id of the oldest message here, where there are older ones
    run: str = ""  # as they call their request


@dataclass(frozen=True, slots=True)
class ReturnFace:
    """What is said to callers who come back to a conversation, or to a turn."""

    join: Callable[[Turn, Sequence[Spoken]], Encoder]  # of a turn, after what was said before
    idle: Callable[[Past], Iterable[JSONObject]]  # the stream of a conversation in which nothing runs
    show: Callable[[Past], JSONObject]


@dataclass(frozen=True, slots=True)
class Earlier:
    """A turn that another one went on from."""

    turn: Turn
    events: Sequence[NumberedEvent]
    calls: Sequence[JSONObject]  # with which that one began: `{"id", "output", "is_error"}` each


class JoinedEncoder(Protocol):
    def __call__(self, turn: Turn, *, earlier: Sequence[Earlier]) -> Encoder: ...


@dataclass(frozen=True, slots=True)
class RequestFace:
    """What is said to each of the requests of a socket. It belongs to no session: each request names its own."""

    id_of: Callable[[str], str]  # of the request that a frame is about; "" where that cannot be read
    began: Callable[[str], JSONObject]  # the turn that it wants to see is there
    shown: Callable[[str, int, JSONObject], JSONObject]  # a payload, by its number from 0 on
    ended: Callable[[str], JSONObject]  # there is no more
    idle: Callable[[str], JSONObject]  # there is nothing to see
    failed: Callable[[str, ChatError], JSONObject]


@dataclass(frozen=True, slots=True)
class SocketFace:
    """What is said on sockets. What is None the dialect does not have."""

    read: Callable[[str, str], Action]
    """What a client said, by the name and the data of the service's event. InvalidBody, ValidationError."""
    snapshot: Callable[[Turn, Sequence[NumberedEvent]], Iterable[JSONObject]] | None = None
    """What somebody who comes late is shown of a turn so far."""
    requests: RequestFace | None = None
    """In place of the above and of all that is about a session: see `watching`."""
    error: Callable[[ChatError], JSONObject] = plain_error  # what goes wrong outside a turn
    names: tuple[str, ...] = ()  # by which clients of a JSON subprotocol may call their frames
    ack: Callable[[Say | Approve, str, str], JSONObject] | None = None
    """To whoever asked for it: the ids of the message and of the turn, "" where it waits or is only stored."""
    welcome: Callable[[Welcome], Iterable[JSONObject]] | None = None
    news: Callable[[str, News], Iterable[JSONObject]] | None = None
    """What else happens in a session, by its id. A dialect that has this is one of rooms."""
    lacks: Callable[[JSONObject], str] | None = None
    """The id of the message whose other keys a payload is to be given, since no event has them; "" for none."""
    filled: Callable[[JSONObject, Message], JSONObject] | None = None  # a payload with that message


@dataclass(frozen=True, slots=True)
class PastFace:
    """What is said of turns that began before, by routes of the dialect's own."""

    turn_id: Callable[[str], str]  # of an id of the dialect's
    show: Callable[[Turn, Sequence[NumberedEvent]], JSONObject]  # a turn as far as it is
    recall: Callable[[Turn, Message], Sequence[NumberedEvent]]  # events that are gone, by the message
    rest: Callable[[Turn, int], Encoder]  # leaves out the payloads up to this number
    given: Callable[[Turn], int]  # how many messages before its question its request brought
    brought: Callable[[Turn, Sequence[Message], Message], list[JSONObject]]
    """What its request brought, oldest first, by the messages up to its question and by its answer."""
    deleted: Callable[[Turn], JSONObject]  # says that it is


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire protocol, by its faces: None is one that it does not have."""

    name: str
    encoder: Callable[[Turn], Encoder]
    framing: Framing | None = None  # as a stream over HTTP, on the routes of turns
    door: Door[Any] | None = None
    socket: SocketFace | None = None
    past: PastFace | None = None
    returns: ReturnFace | None = None
    joined: JoinedEncoder | None = None
    """Of a turn with those that it goes on from, the oldest first, where its answer is one message with theirs: for who
    has not seen them."""
    schemas: str = ""
    """The module of the models of its frames: `OUT`, what clients say on sockets `IN`, what is said there where
    that is not the same `SAYS`, and what else it says at its door: `WHOLE`, `FAILED`, `REFUSED`."""

    @property
    def face(self) -> SocketFace:
        """Of a dialect that sockets speak."""
        assert self.socket is not None, self.name
        return self.socket


def spoken(dialects: Mapping[str, Dialect]) -> Mapping[str, Dialect]:
    """Those that sockets speak."""
    return {name: each for name, each in dialects.items() if each.socket is not None}


def watching(dialects: Mapping[str, Dialect]) -> Mapping[str, Dialect]:
    """Those of them whose sockets watch a session. On all others each request is answered by itself."""
    return {name: each for name, each in spoken(dialects).items() if each.face.requests is None}
