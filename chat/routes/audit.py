"""The audit log over HTTP, for admins."""

from fastapi import Request, Response

from chat.app import ChatApp
from chat.auth.base import Principal
from chat.clock import iso
from chat.events import JSONObject
from chat.routes.replies import json_reply
from chat.routes.requests import read_query
from chat.routes.schemas import CursorQuery
from chat.store.audit_store import AuditEntry


async def list_audit(app: ChatApp, _principal: Principal, request: Request) -> Response:
    """`GET /api/v1/chat/audit`, newest first."""
    query = read_query(request, CursorQuery)
    page = await app.audit.list_audit(limit=query.page_size, cursor=query.cursor)
    return json_reply(
        {
            "entries": [_shown(entry) for entry in page.items],
            "page_size": query.page_size,
            "has_more": page.has_more,
            "next_cursor": page.next_cursor,
        }
    )


def _shown(entry: AuditEntry) -> JSONObject:
    return {
        "at": iso(entry.at),
        "actor": entry.actor,
        "action": entry.action,
        "user_id": entry.user_id,
        "path": entry.path,
        "to": entry.to,
    }
