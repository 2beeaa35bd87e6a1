"""Asking over HTTP: a message, its answer as a stream, and the way back into it when the stream was lost."""

import asyncio
from typing import Any

from benchmarks.chaos.orders import Order
from benchmarks.chaos.streams import Segment
from benchmarks.chaos.world import Room, World

BACK = 12  # times that a reader comes back
PAUSE = (0.3, 3.0)


def write_order(world: World, room: Room, user: str, order: Order, *, way: str = "turn") -> tuple[str, str]:
    """The marker of a message that is about to be sent, and its text. `way` is `post` where no model is asked."""
    marker = f"{user}.{world.number()}"
    text = f"{marker} {order.text}"
    facts = {"way": way, "text": text, "end": order.end, "code": order.code}
    facts |= {"said": order.said, "exact": order.exact}
    world.journal.note("order", session=room.id, user=user, marker=marker, **facts)
    return marker, text


async def ask(
    world: World,
    room: Room,
    user: str,
    order: Order,
    *,
    on_busy: str = "reject",
    by_chat: bool = False,
    drop_after: int = 0,
    turn: "asyncio.Future[str] | None" = None,
) -> Segment:
    """Send a message and read its answer to the end, whatever happens to the stream. The last reply."""
    marker, text = write_order(world, room, user, order)
    dialect = "delta" if by_chat else world.dice.choice(("delta", "chat"))
    first = Segment(marker, room.id, user, dialect, world.instance(), marker=marker)
    if by_chat:
        path = "/api/chat/stream"
        body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "session_id": room.id}
    else:
        path = f"/api/v1/chat/sessions/{room.id}/turns?dialect={dialect}"
        body = {"content": text, "on_busy": on_busy}
    reading = asyncio.create_task(world.door.read(first, "POST", path, drop_after=drop_after, json=body))
    if turn is not None:
        reading.add_done_callback(lambda _: turn.done() or turn.set_result(first.turn))
        asyncio.create_task(_tell_turn(first, reading, turn))  # noqa: RUF006
    return await read_on(world, first, reading)


async def _tell_turn(segment: Segment, reading: "asyncio.Task[Segment]", turn: "asyncio.Future[str]") -> None:
    while not reading.done() and not turn.done():
        if segment.turn:
            turn.set_result(segment.turn)
        await asyncio.sleep(0.05)


async def read_on(world: World, first: Segment, reading: "asyncio.Task[Segment]") -> Segment:
    """Read a turn, and come back to it until its end is known."""
    segment = first
    try:
        await reading
    finally:
        _note(world, segment)
    for attempt in range(BACK):
        if segment.over or not segment.turn or (attempt == 0 and not segment.stream and segment.status):
            break
        if attempt or segment.how != "dropped":
            await asyncio.sleep(world.dice.uniform(*PAUSE))
        segment = await _again(world, segment)
        if segment.status == 404:  # taken out meanwhile
            break
    return segment


async def _again(world: World, before: Segment) -> Segment:
    """Where the reader was, at the other instance."""
    segment = Segment(
        before.reader,
        before.session,
        before.user,
        before.dialect,
        1 - before.instance,
        before.last_id or before.after,
        turn=before.turn,
    )
    after = f"&after={segment.after}" if segment.after else ""
    path = f"/api/v1/chat/turns/{segment.turn}/events?dialect={segment.dialect}{after}"
    try:
        return await world.door.read(segment, "GET", path)
    finally:
        _note(world, segment)


async def ask_with_key(world: World, room: Room, user: str, order: Order, patience: float) -> Segment:
    """Ask, hear nothing for a moment, and ask the same again with the same Idempotency-Key at the other instance, until
    there is something to follow."""
    marker, text = write_order(world, room, user, order)
    path = f"/api/v1/chat/sessions/{room.id}/turns?dialect=delta"
    options: dict[str, Any] = {"json": {"content": text}, "headers": {"idempotency-key": marker}}
    instance = world.instance()
    left = Segment(marker, room.id, user, "delta", instance, marker=marker)
    leaving = asyncio.create_task(world.door.read(left, "POST", path, **options))
    await asyncio.wait({leaving}, timeout=patience)
    leaving.cancel()
    await asyncio.wait({leaving})
    while True:
        first = Segment(marker, room.id, user, "delta", 1 - instance, marker=marker)
        reading = asyncio.create_task(world.door.read(first, "POST", path, **options))
        segment = await read_on(world, first, reading)
        if segment.code != "REQUEST_IN_PROGRESS":
            return segment
        await asyncio.sleep(
            1.0
        )  # as its Retry-After says; for 10 s at most, should the first one's process have died


async def follow(world: World, room: Room, user: str, turn: str) -> Segment:
    """Read a turn from its beginning, as somebody who did not ask."""
    dialect = world.dice.choice(("delta", "chat"))
    first = Segment(f"{user}.{world.number()}", room.id, user, dialect, world.instance(), turn=turn)
    path = f"/api/v1/chat/turns/{turn}/events?dialect={dialect}"
    return await read_on(world, first, asyncio.create_task(world.door.read(first, "GET", path)))


async def regenerate(world: World, room: Room, user: str, message: str) -> Segment:
    dialect = world.dice.choice(("delta", "chat"))
    first = Segment(f"{user}.{world.number()}", room.id, user, dialect, world.instance())
    world.journal.note("anew", session=room.id, message=message)
    path = f"/api/v1/chat/messages/{message}/regenerate"
    body = {"dialect": dialect}
    return await read_on(world, first, asyncio.create_task(world.door.read(first, "POST", path, json=body)))


def _note(world: World, segment: Segment) -> None:
    """The reply, and what it says of the message that was sent."""
    journal = world.journal
    journal.note("segment", **segment.record())
    if not segment.marker:
        return
    who = {"session": segment.session, "user": segment.user, "marker": segment.marker}
    if segment.turn:
        journal.note("acked", **who, message="", by="stream")
    elif segment.status:
        journal.note("refused", **who, status=segment.status, code=segment.code)
    else:
        journal.note("unanswered", **who, why=segment.code)
