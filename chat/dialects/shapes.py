"""Sessions, messages, turns and problems as REST shows them (docs/protocol.md, sections 1 and 7)."""

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

import orjson

from chat.clock import SystemClock, iso
from chat.conversation import Invitation, Session, Turn, TurnError
from chat.dialects.base import Reply
from chat.errors import ChatError, ProviderRateLimited, error_name
from chat.events import JSON, JSONObject, TurnFailed
from chat.messages import Message, Usage
from chat.news import Member

SOON = 1.0  # seconds after which a caller may ask again, where the model service names a limit but no time


def show_session(session: Session, *, default_provider: str = "") -> JSONObject:
    return {
        "id": session.id,
        "title": session.title or None,
        "user_id": session.user_id,
        "llm_provider": session.llm_provider or default_provider,
        "llm_model": session.llm_model,
        "created_at": iso(session.created_at),
        "updated_at": iso(session.updated_at),
        "is_active": session.is_active,
        "message_count": session.message_count,
        "settings": session.settings,
        "summary": session.summary,
        "running_turn": session.running_turn or None,
        "members": [
            {"user_id": session.user_id, "role": "owner"},
            *({"user_id": user_id, "role": role} for user_id, role in session.members.items()),
        ],
    }


def show_message(message: Message) -> JSONObject:
    return {
        "id": message.id,
        "session_id": message.session_id,
        "role": message.role,
        "content": message.content,
        "created_at": iso(message.created_at),
        "updated_at": iso(message.updated_at),
        "is_streaming": message.status == "streaming",
        "llm_provider": message.llm_provider or None,
        "llm_model": message.llm_model or None,
        "response_time_ms": message.response_time_ms,
        "tokens_used": message.tokens_used,
        "error_message": message.error_message or None,
        "metadata": message.metadata,
        "status": message.status,
        "author": message.author or None,
        "parent_message_id": message.parent_message_id or None,
        "thread_id": message.thread_id or None,
        "reactions": [],
        "files": [],
    }


def show_turn(turn: Turn) -> JSONObject:
    return {
        "id": turn.id,
        "session_id": turn.session_id,
        "status": turn.state,
        "error": _show_error(turn.error),
        "pipeline": turn.request.pipeline or None,
        "last_event": turn.last_event,
        "started_at": iso(turn.started_at),
        "ended_at": _show_time(turn.ended_at),
        "usage": _show_usage(turn.usage),
        "attempts": list(turn.attempts),
    }


def _show_time(moment: datetime | None) -> str | None:
    return None if moment is None else iso(moment)


def _show_error(error: TurnError | None) -> JSON:
    return error and {"code": error.code, "message": error.message, "retryable": error.retryable}


def _show_usage(usage: Usage | None) -> JSON:
    return usage and {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "estimated": usage.estimated,
    }


def show_members(members: Iterable[Member]) -> list[JSON]:
    """`[{"user_id", "role", "status", "online", "last_seen"}]`"""
    return [
        {
            "user_id": each.user_id,
            "role": each.role,
            "status": each.status,
            "online": each.online,
            "last_seen": each.last_seen and iso(each.last_seen),
        }
        for each in members
    ]


def show_invitation(invitation: Invitation) -> JSONObject:
    """Nothing that was said in the session, and nobody but who invites."""
    offer = invitation.offer
    return {
        "session_id": invitation.session_id,
        "title": invitation.title or None,
        "invited_by": offer.by,
        "role": offer.role,
        "invited_at": iso(offer.at),
        "expires_at": iso(offer.until),
    }


def show_problem(error: ChatError) -> JSONObject:
    """What is refused."""
    return _problem(type(error).__name__, error.code, {"message": error.message, **error.details})  # type: ignore[dict-item]


def show_failure(failed: TurnFailed) -> JSONObject:
    """A turn that failed before it said anything."""
    details: JSONObject = {"message": failed.message, "retryable": failed.retryable}
    return _problem(error_name(failed.code), failed.code, details)


def failure_headers(turn: Turn, failed: TurnFailed) -> dict[str, str]:
    """The user's message is kept: they say where."""
    places = {"x-session-id": turn.session_id, "x-turn-id": turn.id, "cache-control": "no-cache"}
    return places | retry_after(failed.status, failed.retry_after)


def retry_after(status: int, seconds: float | None) -> dict[str, str]:
    """Whole seconds, rounded up (RFC 9110, section 10.2.3). A 429 always says when to come back."""
    if seconds is None and status == ProviderRateLimited.status:
        seconds = SOON
    return {} if seconds is None else {"retry-after": str(math.ceil(seconds))}


def json_reply(value: JSON, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON body."""
    return Reply(status, orjson.dumps(value), {"content-type": "application/json", **(headers or {})})


def _problem(name: str, code: str, details: Mapping[str, JSON]) -> JSONObject:
    now = iso(SystemClock().now())
    return {"error": name, "error_code": code, "details": dict(details), "timestamp": now}


def in_a_sentence(error: ChatError) -> str:
    """What was refused, where there is room for a text alone: behind the field that is wrong."""
    field = error.details.get("field")
    return f"{field}: {error.message}" if field else error.message
