"""What people say in a room, and what a room is told beside its turns (docs/protocol.md, section 5)."""

from collections.abc import Iterable
from dataclasses import replace

from chat.dialects.frames import read_cancel, read_object, read_resume
from chat.dialects.merging import PIECE
from chat.dialects.shapes import show_members, show_message, show_session
from chat.errors import ValidationError
from chat.events import JSONObject
from chat.messages import Message
from chat.news import (
    MembersChanged,
    MessageShown,
    News,
    Notice,
    PersonCame,
    PersonLeft,
    PersonTypes,
    Running,
    SessionChanged,
    Welcome,
)
from chat.requests import Action, Answered, Approve, Say, Typing
from chat.schemas.approvals import CallApprovals, read_approvals
from chat.schemas.fields import Body, Content, Flag, Id, validate

SAID = ("send_message", "approve_tool", "typing_start", "typing_stop", "cancel", "resume", "ping")
"""The types of a client's frames."""


class SendMessageFields(Body):
    content: Content
    request_id: Id = ""
    reply: Flag = True
    parent_message_id: Id = ""


class ApproveToolFields(Body):
    approvals: CallApprovals
    request_id: Id = ""


def read_session(name: str, data: str) -> Action:
    """A frame of a client."""
    frame = read_object(name, data)
    match frame.get("type"):
        case "send_message":
            body = validate(SendMessageFields, frame)
            return Say(body.content, body.request_id, body.reply, body.parent_message_id)
        case "approve_tool":
            said = validate(ApproveToolFields, frame)
            return Approve(read_approvals(said.approvals), said.request_id)
        case "typing_start":
            return Typing(is_typing=True)
        case "typing_stop":
            return Typing(is_typing=False)
        case "cancel":
            return read_cancel(frame)
        case "resume":
            return read_resume(frame)
        case "ping":
            return Answered({"type": "pong"})
        case None | "":
            raise ValidationError("type", f"A frame needs a `type`: one of {', '.join(SAID)}")
        case other:
            wrong = f"There is no frame of type {str(other)[:100]}"
            raise ValidationError("type", f"{wrong}: it is one of {', '.join(SAID)}")


def show_ack(say: Say | Approve, message_id: str, turn_id: str) -> JSONObject:
    """To whoever gave a `request_id`."""
    ids: JSONObject = {"message_id": message_id, "turn_id": turn_id or None}
    return {"type": "ack", "request_id": say.request_id, **ids}


def show_welcome(welcome: Welcome) -> Iterable[JSONObject]:
    yield {
        "type": "connection_established",
        "session_id": welcome.session_id,
        "user_id": welcome.user_id,
        "connection_id": welcome.connection_id,
        "members": show_members(welcome.members),
        "running_turn": welcome.running and _running(welcome.running),
    }


def show_news(session_id: str, news: News) -> Iterable[JSONObject]:
    kind, about = _news(news)
    yield {"type": kind, **about, "session_id": session_id}


def _news(news: News) -> tuple[str, JSONObject]:
    match news:
        case MessageShown(message, action):
            return "message_update", {"message": show_briefly(message), "action": action}
        case PersonCame(user_id, count):
            return "user_joined", {"user_id": user_id, "connection_count": count}
        case PersonLeft(user_id, count):
            return "user_left", {"user_id": user_id, "connection_count": count}
        case PersonTypes(user_id, is_typing):
            return "typing_indicator", {"user_id": user_id, "is_typing": is_typing}
        case SessionChanged(session, provider):
            shown = show_session(session, default_provider=provider)
            return "session_update", {"action": "updated", "session": shown}
        case MembersChanged(members):
            return "session_update", {"action": "members", "members": show_members(members)}
        case Notice(level, text):
            return "notice", {"level": level, "text": text}


def _running(running: Running) -> JSONObject:
    """The beginning of its text: all of it comes with the turn."""
    turn, text = running.turn, running.text
    about: JSONObject = {"id": turn.id, "user_message_id": turn.user_message_id, "user_id": turn.user_id}
    if len(text) > PIECE:
        return {**about, "text": text[:PIECE], "truncated": True}
    return {**about, "text": text}


def show_briefly(message: Message) -> JSONObject:
    """A message as it fits into a frame: of one that is too long only the beginning, marked as `truncated`."""
    if len(message.content) <= PIECE:
        return show_message(message)
    return {**show_message(replace(message, content=message.content[:PIECE])), "truncated": True}
