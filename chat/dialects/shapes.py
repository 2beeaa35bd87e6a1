"""Sessions, messages and turns as REST shows them (docs/protocol.md, section 7)."""

from datetime import datetime

from chat.clock import iso
from chat.conversation import Session, Turn, TurnError
from chat.events import JSON, JSONObject
from chat.messages import Message, Usage


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
