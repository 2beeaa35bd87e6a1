"""How the service is. Needs no login, and says nothing to a stranger that a stranger may not know."""

import asyncio
from collections.abc import Mapping

from fastapi import Request, Response

from chat.app import VERSION, ChatApp
from chat.clock import iso
from chat.errors import ChatError
from chat.events import JSONObject
from chat.routes.replies import json_reply

PATIENCE = 3.0  # seconds for each thing that is asked


async def health(app: ChatApp, request: Request) -> Response:
    """`GET /api/v1/chat/health`: 503 only when no chat is possible."""
    store, connections, is_admin = await asyncio.gather(
        _check_store(app), _connections(app), _is_admin(app, request.headers)
    )
    auth = _auth(app, ways=is_admin)
    servers: JSONObject = {**app.tools.states} if is_admin else {}
    tools: JSONObject = {"tools": servers} if servers else {}
    healthy = store["status"] == "healthy"
    models: JSONObject = {name: {"breaker": state} for name, state in app.model_states().items()}
    resting = any(state != "closed" for state in app.model_states().values())
    return json_reply(
        {
            "service": "chat",
            "status": "unhealthy"
            if not healthy
            else "degraded"
            if resting or not app.authenticators
            else "healthy",
            "timestamp": iso(app.clock.now()),
            "active_connections": connections,
            "running_turns": app.runner.running,
            "dependencies": {"store": store, "models": models, "auth": auth, **tools},
            "version": VERSION,
        },
        status=200 if healthy else 503,
    )


def _auth(app: ChatApp, *, ways: bool) -> JSONObject:
    """Whether anybody can sign in, and by which ways."""
    if not app.authenticators:
        return {"status": "unhealthy", "reason": "CHAT_AUTH lets nobody sign in here: every request gets 401"}
    if not ways:
        return {"status": "healthy"}
    return {"status": "healthy", "ways": [way.name for way in app.authenticators]}


async def _is_admin(app: ChatApp, headers: Mapping[str, str]) -> bool:
    """Who asks for health may be anybody."""
    try:
        async with asyncio.timeout(PATIENCE):
            return (await app.authenticate(headers)).is_admin
    except (ChatError, TimeoutError):
        return False


async def _check_store(app: ChatApp) -> JSONObject:
    began = app.clock.monotonic()
    try:
        async with asyncio.timeout(PATIENCE):
            await app.check_store()
    except (ChatError, TimeoutError):
        return {"status": "unhealthy", "latency_ms": None}
    return {"status": "healthy", "latency_ms": round((app.clock.monotonic() - began) * 1000, 1)}


async def _connections(app: ChatApp) -> int | None:
    """The open sockets of the whole app and the streams of this instance; None while nobody can tell."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await app.sockets.count() + app.connections
    except (ChatError, TimeoutError):
        return None
