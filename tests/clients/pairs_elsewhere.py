"""The ways by which a turn is started, watched and stopped by MCP and on sockets, for `test_all_pairs.py`."""

import asyncio
import re
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.clients.ai_sdk.run import run, text_of
from tests.clients.pairs import HEADERS, Side, Start, Started, Stop, Watch, ai_sdk, chat, each_alone
from tests.support.clients import eventually
from tests.support.sockets import Socket, negotiate, room, said, socket_of

ENDS = ("completed", "cancelled", "failed")


@asynccontextmanager
async def mcp_at(side: Side) -> AsyncGenerator[Client]:
    async with httpx2.AsyncClient(headers=HEADERS, timeout=30) as http:
        transport = streamable_http_client(f"{side.url}/api/mcp", http_client=http)
        async with Client(transport, mode="auto", cache=None) as client:
            yield client


async def asked_by_mcp(side: Side, **arguments: Any) -> str:
    """What the answer says. `told` hears of the progress."""
    told = arguments.pop("told", None)
    async with mcp_at(side) as client:
        answer = await client.call_tool("ask", arguments, progress_callback=told)
        assert answer.structured_content is not None
        return str(answer.structured_content["text"])


async def stopped_by_mcp(side: Side, turn_id: str) -> None:
    async with mcp_at(side) as client:
        await client.call_tool("stop", {"turn_id": turn_id})


async def started_by_mcp(side: Side, text: str) -> Started:
    """Its first progress names the turn."""
    named = asyncio.get_running_loop().create_future()

    async def told(_progress: float, _total: float | None, message: str | None) -> None:
        if not named.done():
            named.set_result(re.findall(r"turn (\S+) of", message or ""))

    heard = asyncio.create_task(asked_by_mcp(side, text=text, told=told))
    async with asyncio.timeout(10):
        [turn_id] = await named
    return Started(turn_id, heard)


async def chat_heard(socket: Socket, turn_id: str) -> str:
    """What a socket of dialect `chat` shows of a turn."""
    pieces = list[str]()
    while not (frame := await socket.of("chat_chunk", turn_id=turn_id))["payload"]["done"]:
        pieces += chat(frame)
    return "".join(pieces)


async def session_heard(socket: Socket, turn_id: str) -> str:
    """What a socket of dialect `session` shows of a turn."""
    await socket.next(
        lambda each: (
            each["type"] == "message_update" and each["action"] in ENDS and each["turn_id"] == turn_id
        )
    )
    return said([each for each in socket.frames if each.get("turn_id") == turn_id])


async def started_by_chat(side: Side, text: str) -> Started:
    async def talk() -> str:
        async with socket_of(side.client, "/ws") as socket:
            await socket.say(type="chat", payload={"text": text})
            named.set_result(turn_id := (await socket.of("chat_start"))["turn_id"])
            return await chat_heard(socket, turn_id)

    named = asyncio.get_running_loop().create_future()
    return await _started(named, talk())


async def started_by_session(side: Side, text: str) -> Started:
    async def talk() -> str:
        made = (await side.client.call("POST", "/api/v1/chat/sessions", json={})).body
        async with socket_of(side.client, room(made["id"])) as socket:
            await socket.say(type="send_message", content=text, request_id="r")
            named.set_result(turn_id := (await socket.of("ack"))["turn_id"])
            return await session_heard(socket, turn_id)

    named = asyncio.get_running_loop().create_future()
    return await _started(named, talk())


async def _started(named: asyncio.Future[str], talk: Coroutine[Any, Any, str]) -> Started:
    heard = asyncio.create_task(talk)
    await asyncio.wait([named, heard], return_when=asyncio.FIRST_COMPLETED)
    if heard.done():
        await heard
    return Started(await named, heard)


async def started_by_transport(side: Side, texts: list[str]) -> list[Started]:
    """By WebSocketChatTransport, all on one socket."""
    address = (await negotiate(side.client, "/ws?dialect=ai-sdk"))["url"]
    chats = {f"socket-{abs(hash(text))}": text for text in texts}
    running = asyncio.create_task(run("sockets.mjs", socket=address, chats=chats))

    async def heard(chat_id: str) -> str:
        found = (await running)["chats"][chat_id]
        assert found["error"] is None
        return text_of(found["message"])

    async def found(chat_id: str) -> Started:
        turn_id = await eventually(lambda: turn_of_chat(side, chat_id), seconds=20, what="turn")
        return Started(turn_id, asyncio.create_task(heard(chat_id)))

    return await asyncio.gather(*map(found, chats))


async def turn_of_chat(side: Side, chat_id: str) -> str:
    """The turn that runs in it; "" while none does."""
    async with side.client.open("GET", f"/api/chat/{chat_id}/stream") as stream:
        return stream.headers.get("x-turn-id", "")


async def watched_by_chat(side: Side, turn_id: str) -> str:
    async with socket_of(side.client, f"/ws?session_id={session_of(turn_id)}") as socket:
        return await chat_heard(socket, turn_id)


async def watched_by_session(side: Side, turn_id: str) -> str:
    async with socket_of(side.client, room(session_of(turn_id))) as socket:
        return await session_heard(socket, turn_id)


async def watched_by_transport(side: Side, turn_id: str) -> str:
    """In the frames of WebSocketChatTransport: `ai_sdk/test_socket.py` has the client itself."""
    async with socket_of(side.client, "/ws?dialect=ai-sdk") as socket:
        await socket.say(type="resume", requestId="r", id=turn_id)
        await socket.of("end", requestId="r")
    chunks = [each["chunk"] for each in socket.frames if each["type"] == "chunk"]
    return "".join(piece for each in chunks for piece in ai_sdk(each))


async def stopped_by_chat(side: Side, turn_id: str) -> None:
    async with socket_of(side.client, f"/ws?session_id={session_of(turn_id)}") as socket:
        await socket.say(type="chat_cancel", payload={"turn_id": turn_id})
        await chat_heard(socket, turn_id)


async def stopped_by_session(side: Side, turn_id: str) -> None:
    async with socket_of(side.client, room(session_of(turn_id))) as socket:
        await socket.say(type="cancel", turn_id=turn_id)
        await session_heard(socket, turn_id)


def session_of(turn_id: str) -> str:
    return turn_id.rpartition("-")[0]


STARTS: Mapping[str, Start] = {
    "mcp": each_alone(started_by_mcp),
    "chat on a socket": each_alone(started_by_chat),
    "session on a socket": each_alone(started_by_session),
    "ai-sdk on a socket": started_by_transport,
}

WATCHES: Mapping[str, Watch] = {
    "mcp": lambda side, turn_id: asked_by_mcp(side, turn_id=turn_id),
    "chat on a socket": watched_by_chat,
    "session on a socket": watched_by_session,
    "ai-sdk on a socket": watched_by_transport,
}

STOPS: Mapping[str, Stop] = {
    "mcp": stopped_by_mcp,
    "chat on a socket": stopped_by_chat,
    "session on a socket": stopped_by_session,
}
