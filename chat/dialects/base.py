"""What a dialect is: the payloads of one wire protocol, made from events and from nothing else.

Encoders are pure. They read no clock, no random number and no setting, so "go on after payload N" is "encode again and
skip N", on any instance and at any time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from chat.conversation import Turn
from chat.errors import ChatError
from chat.events import (
    JSON,
    AttemptFailed,
    JSONObject,
    NumberedEvent,
    ProviderSwitched,
    ReasoningDelta,
    ReasoningFinished,
    ReasoningStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    UsageReported,
)
from chat.messages import Message


class Encoder(Protocol):
    """Encodes one turn, from its first event on."""

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        """The payloads of one event; often none."""
        ...


PIECE = 64 * 1024
"""Characters of one frame: the service takes 1 MB, and JSON may write a character as six bytes."""


SILENT = (
    StepStarted,
    StepFinished,
    TextStarted,
    TextFinished,
    ReasoningStarted,
    ReasoningDelta,
    ReasoningFinished,
    AttemptFailed,
    ProviderSwitched,
    UsageReported,
)
"""Events that no dialect of a socket shows: text before and after them is one text."""


def merged(events: Iterable[NumberedEvent]) -> Iterator[NumberedEvent]:
    """The events that sockets are shown, with text that follows text as one delta, as long as it fits into a frame. It
    has the number of its last part, so whoever has it goes on behind that."""
    held: list[str] = []
    size = last = 0
    for numbered in events:
        if isinstance(numbered.event, SILENT):
            continue
        text = numbered.event.text if isinstance(numbered.event, TextDelta) else None
        if held and (text is None or size + len(text) > PIECE):
            yield NumberedEvent(last, TextDelta("", "".join(held)))
            held, size = [], 0
        if text is None:
            yield numbered
        else:
            held.append(text)
            size, last = size + len(text), numbered.number
    if held:
        yield NumberedEvent(last, TextDelta("", "".join(held)))


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


def no_snapshot(_turn: Turn, _events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """Of a dialect that no socket speaks."""
    return ()


def plain_error(error: ChatError) -> JSONObject:
    """As `TurnFailed` looks in most dialects."""
    said: JSONObject = {"message": error.message, "code": error.code, "retryable": error.retryable}
    return {"type": "error", **said, **wrong_field(error)}


def wrong_field(error: ChatError) -> JSONObject:
    """The field that an error names, if it names one, as `field`."""
    field = error.details.get("field")
    return {"field": str(field)} if field else {}


def no_welcome(_facts: JSONObject) -> Iterable[JSONObject]:
    """Of a dialect that begins with what its client says."""
    return ()


def no_message(_message: Message, _action: str) -> Iterable[JSONObject]:
    """Of a dialect that shows nothing but answers."""
    return ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire protocol. `done_marker` is the last frame of its SSE form, if it has one.

    For sockets: `welcome` is what a new one is told of its session, `snapshot` what somebody who comes late is shown of
    a turn so far, `message` a message that is no answer, and `error` what goes wrong outside a turn.
    """

    name: str
    encoder: Callable[[Turn], Encoder]
    done_marker: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    snapshot: Callable[[Turn, Sequence[NumberedEvent]], Iterable[JSONObject]] = no_snapshot
    welcome: Callable[[JSONObject], Iterable[JSONObject]] = no_welcome
    message: Callable[[Message, str], Iterable[JSONObject]] = no_message
    error: Callable[[ChatError], JSONObject] = plain_error
    over_http: bool = True
    room: bool = False  # its sockets are told what else happens in the session
