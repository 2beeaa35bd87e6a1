"""The tools that clients of the Model Context Protocol may call, but for `ask`: see `mcp_ask.py`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.clock import iso
from chat.conversation import Session
from chat.dialects.base import plain_error
from chat.errors import ChatError, Forbidden
from chat.events import JSON, JSONObject
from chat.messages import Message
from chat.routes.messages import growing, messages_between, seq_of
from chat.schemas.fields import validate
from chat.schemas.json_rpc import (
    INVALID_PARAMS,
    RpcError,
    show_tool_result,
)
from chat.schemas.mcp_bodies import Ask, GetConversation, ListConversations, Stop, show_waiting
from chat.turns.client_calls import open_calls
from chat.turns.tool_history import waits_for_approval

type Run = Callable[[ChatApp, Principal, Any], Awaitable[JSONObject]]


def check_write(principal: Principal) -> None:
    """Forbidden for a credential that may only read."""
    if not principal.may("write"):
        raise Forbidden("This credential is not for `write`.")


async def list_conversations(app: ChatApp, principal: Principal, asked: ListConversations) -> JSONObject:
    page = await app.conversations.list_sessions(
        principal.user_id, limit=asked.limit, cursor=asked.cursor or None
    )
    shown: list[JSON] = [_show_session(each) for each in page.items]
    return {"conversations": shown, "next_cursor": page.next_cursor}


async def get_conversation(app: ChatApp, principal: Principal, asked: GetConversation) -> JSONObject:
    session = await app.conversations.get_session(principal.user_id, asked.conversation_id)
    before = seq_of(asked.before, session, "before") if asked.before else None
    found = await messages_between(app, principal, session, asked.limit, after=0, before=before, newest=True)
    waiting = {} if before else open_calls(found)
    messages: list[JSON] = [
        _show_message(await growing(app, principal, each), waiting.get(each.id)) for each in found
    ]
    has_more = bool(found) and found[0].seq > 1
    return {**_show_session(session), "messages": messages, "before": found[0].id if has_more else None}


async def stop(app: ChatApp, principal: Principal, asked: Stop) -> JSONObject:
    check_write(principal)
    turn = await app.runner.cancel(principal.user_id, asked.turn_id)
    return {"turn_id": turn.id, "conversation_id": turn.session_id, "state": turn.state}


TOOLS: Mapping[str, tuple[type[BaseModel], Run]] = {
    "list_conversations": (ListConversations, list_conversations),
    "get_conversation": (GetConversation, get_conversation),
    "stop": (Stop, stop),
}
MODELS: Mapping[str, type[BaseModel]] = {"ask": Ask, **{name: model for name, (model, _) in TOOLS.items()}}
"""The arguments of all of them, `ask` included."""
READING = ("list_conversations", "get_conversation")


def show_tools() -> JSONObject:
    """`tools/list`"""
    return {"tools": [_show_tool(name, model) for name, model in MODELS.items()]}


async def call_tool(app: ChatApp, principal: Principal, name: str, arguments: object) -> JSONObject:
    """What goes wrong is a result, too: a model reads it. RpcError where the arguments are no object."""
    model, run = TOOLS[name]
    try:
        found = await run(app, principal, validate(model, arguments_of(arguments)))
    except ChatError as error:
        return show_tool_failure(error)
    return show_tool_result(orjson.dumps(found).decode(), structured=found)


def show_tool_failure(error: ChatError) -> JSONObject:
    """An error that a model reads, and may do something about."""
    failure = plain_error(error)
    field = f"{failure['field']}: " if "field" in failure else ""
    told = f"{error.code}: {field}{error.message}"
    return show_tool_result(told, structured={"error": failure}, is_error=True)


def arguments_of(given: object) -> dict[str, Any]:
    """RpcError."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise RpcError(INVALID_PARAMS, "arguments must be an object")
    return given  # pyright: ignore[reportUnknownVariableType]


def _show_tool(name: str, model: type[BaseModel]) -> JSONObject:
    schema: dict[str, Any] = model.model_json_schema()
    description = " ".join(str(schema.pop("description", "")).split())
    schema.pop("title", None)
    for each in schema["properties"].values():
        each.pop("title", None)
    return {
        "name": name,
        "description": description,
        "inputSchema": schema,
        "annotations": {
            "readOnlyHint": name in READING,
            "destructiveHint": name == "stop",
            "openWorldHint": name == "ask",
        },
    }


def _show_session(session: Session) -> JSONObject:
    return {
        "conversation_id": session.id,
        "title": session.title or None,
        "updated_at": iso(session.updated_at),
        "message_count": session.message_count,
        "running_turn": session.running_turn or None,
    }


def _show_message(message: Message, waiting: Sequence[JSONObject] | None) -> JSONObject:
    shown: list[JSON] = [
        show_waiting(
            str(call["id"]),
            str(call["name"]),
            str(call["arguments"]),
            needs_approval=waits_for_approval(call),
        )
        for call in waiting or ()
    ]
    return {
        "id": message.id,
        "role": message.role,
        "author": message.author or None,
        "content": message.content,
        "status": message.status,
        "created_at": iso(message.created_at),
        **({"waiting": shown} if shown else {}),
    }
