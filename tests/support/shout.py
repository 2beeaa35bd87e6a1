"""A dialect as whoever needs one adds it: upper-case lines of JSON, over HTTP and on sockets."""

from collections.abc import Iterable, Sequence

from chat.conversation import Turn
from chat.dialects.base import Asked, Asker, Dialect, Door, Reply, SocketFace
from chat.dialects.frames import read_object
from chat.dialects.framing import NDJSON
from chat.dialects.merging import merged
from chat.errors import ChatError, ValidationError
from chat.events import (
    JSONObject,
    NumberedEvent,
    TextDelta,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from chat.news import MessageShown, News
from chat.requests import Action, Cancel, Resume, Say, TurnRequest
from chat.schemas.fields import Body, Content, Id


class ShoutEncoder:
    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case TurnStarted():
                yield {"SHOUT": "", "seq": numbered.number}
            case TextDelta(_, text):
                yield {"SHOUT": text.upper(), "seq": numbered.number}
            case TurnFinished():
                yield {"END": "DONE", "seq": numbered.number}
            case TurnCancelled():
                yield {"END": "STOPPED", "seq": numbered.number}
            case TurnFailed(code):
                yield {"END": code, "seq": numbered.number}
            case _:
                pass


def _encoder(_turn: Turn) -> ShoutEncoder:
    return ShoutEncoder()


class ShoutBody(Body):
    SAY: Content
    SESSION: Id = ""


def _read(body: ShoutBody, asker: Asker) -> Asked:
    return Asked(TurnRequest(asker.user_id, content=body.SAY, session_id=body.SESSION, dialect=SHOUT.name))


def _no(status: int, code: str) -> Reply:
    return Reply(status, NDJSON.frame({"NO": code}, ""), {"content-type": NDJSON.content_type})


def _read_frame(name: str, data: str) -> Action:
    match read_object(name, data):
        case {"SAY": str(text)}:
            return Say(text)
        case {"STOP": _}:
            return Cancel()
        case {"AGAIN": str(turn_id), "FROM": int(after)}:
            return Resume(turn_id, after)
        case _:
            raise ValidationError("SAY", "Nothing was said")


def _snapshot(_turn: Turn, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    encoder = ShoutEncoder()
    return [payload for each in merged(events) for payload in encoder.encode(each)]


def _error(error: ChatError) -> JSONObject:
    return {"NO": error.code}


def _news(_session_id: str, news: News) -> Iterable[JSONObject]:
    if isinstance(news, MessageShown):
        yield {"HEARD": news.message.content.upper()}


SHOUT = Dialect(
    "shout",
    _encoder,
    framing=NDJSON,
    door=Door(
        ShoutBody,
        _read,
        failed=lambda _turn, failed: _no(failed.status, failed.code),
        refusal=lambda error: _no(error.status, error.code),
    ),
    socket=SocketFace(_read_frame, _snapshot, error=_error, news=_news),
)
