"""Conversations as resources of the Model Context Protocol."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.dialects.base import plain_error
from chat.errors import ChatError, NotFound, ValidationError
from chat.events import JSON, JSONObject
from chat.routes.mcp_tools import get_conversation, list_conversations
from chat.schemas.fields import check_id
from chat.schemas.json_rpc import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    REFUSED,
    RESOURCE_NOT_FOUND,
    RpcError,
)
from chat.schemas.mcp_bodies import GetConversation, ListConversations

BEGINNING = "parley://conversations/"
MIME = "application/json"
PAGE = 50  # conversations of a page
MESSAGES = 50  # the newest of a conversation

type Answer = Callable[[ChatApp, Principal, Mapping[str, Any], bool], Awaitable[JSONObject]]


async def _list(app: ChatApp, principal: Principal, params: Mapping[str, Any], _modern: bool) -> JSONObject:
    cursor = params.get("cursor") or ""
    if not isinstance(cursor, str):
        raise RpcError(INVALID_PARAMS, "cursor must be a text")
    try:
        found = await list_conversations(
            app, principal, ListConversations.model_construct(limit=PAGE, cursor=cursor)
        )
    except ChatError as error:
        raise _failed(error) from None
    conversations = found["conversations"]
    assert isinstance(conversations, list)
    resources: list[JSON] = [_show(each) for each in conversations if isinstance(each, dict)]
    more = found["next_cursor"]
    return {"resources": resources, **({"nextCursor": more} if more else {})}


async def _templates(
    _app: ChatApp, _principal: Principal, _params: Mapping[str, Any], _modern: bool
) -> JSONObject:
    template: JSONObject = {
        "name": "conversation",
        "description": f"A conversation with its newest {MESSAGES} messages.",
        "uriTemplate": f"{BEGINNING}{{conversation_id}}",
        "mimeType": MIME,
    }
    return {"resourceTemplates": [template]}


async def _read(app: ChatApp, principal: Principal, params: Mapping[str, Any], modern: bool) -> JSONObject:
    uri = params.get("uri")
    if not isinstance(uri, str):
        raise RpcError(INVALID_PARAMS, "uri must be a text")
    try:
        found = await get_conversation(app, principal, _asked(uri))
    except (NotFound, ValidationError):
        code = INVALID_PARAMS if modern else RESOURCE_NOT_FOUND
        raise RpcError(code, "Resource not found", {"uri": uri[:500]}) from None
    except ChatError as error:
        raise _failed(error) from None
    content: JSONObject = {"uri": uri, "mimeType": MIME, "text": orjson.dumps(found).decode()}
    return {"contents": [content]}


RESOURCES: Mapping[str, Answer] = {
    "resources/list": _list,
    "resources/templates/list": _templates,
    "resources/read": _read,
}


def _asked(uri: str) -> GetConversation:
    name = uri.removeprefix(BEGINNING)
    if name == uri or not name or "/" in name:
        raise NotFound
    check_id("uri", name)
    return GetConversation(conversation_id=name, limit=MESSAGES)


def _show(conversation: JSONObject) -> JSONObject:
    name = conversation["conversation_id"]
    title = conversation["title"] or f"Conversation {name}"
    return {"uri": f"{BEGINNING}{name}", "name": str(name), "title": title, "mimeType": MIME}


def _failed(error: ChatError) -> RpcError:
    if isinstance(error, ValidationError):
        return RpcError(INVALID_PARAMS, f"{error.field}: {error.message}")
    code = INTERNAL_ERROR if error.status == 500 else REFUSED
    return RpcError(code, error.message, plain_error(error))
