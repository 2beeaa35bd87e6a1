"""Messages over HTTP."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import note_made
from chat.auth.base import Principal
from chat.conversation import Session
from chat.dialects.shapes import show_message
from chat.errors import ValidationError
from chat.messages import Message, MessageDraft, split_message_id
from chat.requests import TurnRequest
from chat.routes.replies import json_reply
from chat.routes.requests import nonce_of, read_query
from chat.routes.schemas import MessageBody, MessagesQuery
from chat.schemas.fields import check_size, read_time
from chat.turns.tool_history import RESERVED

AT_ONCE = 50  # messages that are read from the store at once
PAGE_TEXT = 4 * 1024 * 1024  # characters from which on a page of messages ends, whatever its size


async def post_message(app: ChatApp, principal: Principal, request: Request, body: MessageBody) -> Response:
    """`POST /api/v1/chat/sessions/{id}/messages`: stores a message, and shows it to the room."""
    check_size("content", body.content, limit=app.settings.max_message_bytes)
    if reserved := sorted(RESERVED & body.metadata.keys()):
        raise ValidationError(f"metadata.{reserved[0]}", "This key is the app's own")
    draft = MessageDraft(
        body.role,
        body.content,
        author=principal.user_id,
        metadata=body.metadata,
        parent_message_id=body.parent_message_id,
    )
    asked = TurnRequest(
        principal.user_id, session_id=request.path_params["session_id"], nonce=nonce_of(request)
    )
    posted = await app.conversations.post_message(asked, draft)
    if posted.new:
        app.tell_message(posted.message)
    made = {"session_id": asked.session_id, "message_id": posted.message.id}
    await note_made(app, asked.user_id, asked.nonce, made)
    return json_reply(show_message(posted.message), status=201)


async def post_again(
    app: ChatApp, principal: Principal, _request: Request, made: Mapping[str, str]
) -> Response:
    """The message that is there."""
    message = await app.conversations.get_message(principal.user_id, made["message_id"])
    return json_reply(show_message(message), status=201)


async def list_messages(app: ChatApp, principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/sessions/{id}/messages`, oldest first; `order=desc` turns it, `before` gives the nearest
    older ones. A running turn's message shows what was said so far."""
    query = read_query(request, MessagesQuery)
    session = await app.conversations.get_session(principal.user_id, request.path_params["session_id"])
    after, before = _bounds(query, session)
    newest = query.before is not None or query.order == "desc"
    found = await messages_between(
        app, principal, session, query.page_size, after=after, before=before, newest=newest
    )
    found = [await growing(app, principal, message) for message in found]
    has_more = bool(found) and (found[0].seq > 1 if newest else found[-1].seq < session.last_seq)
    edge = found[0] if newest and found else found[-1] if found else None
    shown = found[::-1] if query.order == "desc" else found
    return json_reply(
        {
            "session_id": session.id,
            "messages": [show_message(message) for message in shown],
            "page": query.page,
            "page_size": query.page_size,
            "has_more": has_more,
            "next_cursor": edge.id if edge is not None and has_more else None,
            "total_count": session.message_count,
            "total": session.message_count,
        }
    )


async def messages_between(
    app: ChatApp,
    principal: Principal,
    session: Session,
    size: int,
    *,
    after: int,
    before: int | datetime | None,
    newest: bool,
) -> list[Message]:
    """The messages of a page, oldest first, read some at a time: it ends early when it has as much text as it may."""
    found: list[Message] = []  # from where the page begins on
    text = 0
    while len(found) < size and text < PAGE_TEXT:
        some = await app.conversations.list_messages(
            principal.user_id,
            session.id,
            limit=min(AT_ONCE, size - len(found)),
            after=after,
            before=before,
            newest=newest,
        )
        if not some:
            break
        for each in reversed(some) if newest else some:
            if text < PAGE_TEXT:
                found.append(each)
                text += len(each.content)
        after, before = (after, found[-1].seq) if newest else (found[-1].seq, before)
    return found[::-1] if newest else found


def _bounds(query: MessagesQuery, session: Session) -> tuple[int, int | datetime | None]:
    """`(after, before)` as message numbers, which have no gaps, so that a page is a range of them; or before a time."""
    if query.before is not None:
        return 0, read_time(query.before) or seq_of(query.before, session, "before")
    skipped = (query.page - 1) * query.page_size
    if query.order == "desc":
        newest = seq_of(query.cursor, session, "cursor") if query.cursor else session.last_seq + 1
        return 0, max(newest - skipped, 1)
    oldest = seq_of(query.cursor, session, "cursor") if query.cursor else 0
    return oldest + skipped, None


def seq_of(identifier: str, session: Session, field: str) -> int:
    """The number of the message with this id. ValidationError."""
    found = split_message_id(identifier)
    if found is None or found[0] != session.id:
        or_time = ", and not a time (ISO 8601)" if field == "before" else ""
        raise ValidationError(field, f"Not a message of this session{or_time}")
    return found[1]


async def growing(app: ChatApp, principal: Principal, message: Message) -> Message:
    """A message that is being written, as far as it got."""
    if message.status != "streaming":
        return message
    return replace(message, content=await app.runner.text_so_far(principal.user_id, message.id))
