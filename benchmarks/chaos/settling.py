"""After the run: waits until everything has come to rest, and writes down how it all stands."""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Any

from benchmarks.chaos.streams import Segment
from benchmarks.chaos.world import Room, World

PATIENCE = 90.0  # seconds: a lease is 12, and the timer that finds what nobody looks at runs each minute
LOOK = 2.0
QUIET = 5.0  # seconds for what was said last to reach the sockets
AT_ONCE = 10
TRIES = 10
PROBE = "#chunks=3"
PROBE_PATIENCE = 30.0


async def settle(world: World, deeds: set[asyncio.Task[None]]) -> None:
    """Until no session has a turn that runs and every reader has read to the end, or patience is over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        await asyncio.sleep(LOOK)
        if all(each.done() for each in deeds) and not await _running(world):
            break
    for each in deeds:
        each.cancel()
    await asyncio.gather(*deeds, return_exceptions=True)
    await asyncio.sleep(QUIET)


async def _running(world: World) -> list[str]:
    """The sessions with a turn, or of which nobody knows."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def look(room: Room) -> str:
        async with gate:
            session = await _get(world, room, f"/api/v1/chat/sessions/{room.id}")
        return room.id if session is None or session["running_turn"] else ""

    return [each for each in await asyncio.gather(*(look(room) for room in world.rooms)) if each]


async def take_stock(world: World) -> None:
    """Every session and message as it is now, then one more turn in each session."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(room: Room) -> None:
        async with gate:
            await _session(world, room)
            await _probe(world, room)

    await asyncio.gather(*(one(room) for room in world.rooms))
    world.journal.note("end")


async def _session(world: World, room: Room) -> None:
    session = await _get(world, room, f"/api/v1/chat/sessions/{room.id}")
    running = session["running_turn"] if session else None
    count = 0
    async for message in _messages(world, room):
        count += 1
        code = ""
        if message["role"] == "assistant" and message["status"] != "complete":
            turn = await _get(world, room, f"/api/v1/chat/turns/{message['id']}")
            code = turn["error"]["code"] if turn and turn["error"] else turn["status"] if turn else "?"
        world.journal.note(
            "stored",
            session=room.id,
            id=message["id"],
            role=message["role"],
            content=message["content"],
            status=message["status"],
            parent=message["parent_message_id"] or "",
            began=_seconds(message["created_at"]),
            ended=_seconds(message["updated_at"]),
            code=code,
        )
    problem = "" if session and count == session["message_count"] else "it cannot be read whole"
    world.journal.note("session", session=room.id, running_turn=running, problem=problem)


async def _messages(world: World, room: Room) -> AsyncGenerator[Any]:
    cursor = ""
    while True:
        path = f"/api/v1/chat/sessions/{room.id}/messages?page_size=200{cursor}"
        page = await _get(world, room, path)
        if page is None:
            return
        for message in page["messages"]:
            yield message
        if not page["next_cursor"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


async def _probe(world: World, room: Room) -> None:
    """A turn that asks for three words. A session that is still busy may take a while."""
    deadline = time.monotonic() + PROBE_PATIENCE
    while True:
        segment = Segment(f"probe.{room.id}", room.id, room.owner, "delta", world.instance())
        body = {"content": f"probe {PROBE}"}
        path = f"/api/v1/chat/sessions/{room.id}/turns"
        await world.door.read(segment, "POST", path, json=body)
        if segment.over or time.monotonic() > deadline:
            break
        await asyncio.sleep(1.0)
    facts = {"status": segment.status, "code": segment.code, "said": segment.text, "ends": segment.ends}
    world.journal.note("probe", session=room.id, turn=segment.turn, **facts)


async def _get(world: World, room: Room, path: str) -> Any:
    for _ in range(TRIES):
        reply = await world.door.call(room.owner, "GET", path, instance=world.instance())
        if reply is not None and reply.status == 200:
            return reply.body
        await asyncio.sleep(0.5)
    return None


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
