"""What a user does: asks, stops, leaves and comes back, speaks on sockets, posts, lets others in and out."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.chaos import frames
from benchmarks.chaos.asking import ask, ask_with_key, follow, regenerate, write_order
from benchmarks.chaos.orders import long, plain, some_order
from benchmarks.chaos.sockets import HELLO, PROTOCOLS, RoomSocket, negotiate
from benchmarks.chaos.world import Room, World

THINKING = (2.0, 12.0)  # seconds between two deeds of one user
SITTING = (15.0, 120.0)  # seconds that a socket is kept
BUSY = ("reject", "queue", "queue", "interrupt")

type Deed = Callable[[World, str], Awaitable[object]]


async def live(world: World, user: str) -> None:
    """A user, until the run is over and what they read has ended."""
    while not world.over.is_set():
        await _wait(world, world.dice.uniform(*THINKING))
        if not world.over.is_set():
            await world.dice.choices(DEEDS, WEIGHTS)[0](world, user)


async def _wait(world: World, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await world.over.wait()
    except TimeoutError:
        pass


def _room(world: World, user: str) -> Room:
    return world.dice.choice(world.rooms_of(user))


async def ask_something(world: World, user: str) -> None:
    room = _room(world, user)
    on_busy = world.dice.choice(BUSY)
    asked_at = time.time()
    answer = await ask(world, room, user, some_order(world.dice), on_busy=on_busy)
    if on_busy == "interrupt":
        # What ran when it was asked was stopped for it, whatever became of the answer.
        world.journal.note("cancel", session=room.id, turn="", began=asked_at, until=time.time(), by=user)
    if answer.turn and answer.how == "whole":
        room.questions[:] = [*room.questions[-4:], answer.turn]


async def ask_by_chat(world: World, user: str) -> None:
    await ask(world, _room(world, user), user, some_order(world.dice), by_chat=True)


async def leave_and_return(world: World, user: str) -> None:
    await ask(world, _room(world, user), user, plain(world.dice), drop_after=world.dice.randint(1, 30))


async def ask_and_stop(world: World, user: str) -> None:
    room = _room(world, user)
    turn: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    answer = asyncio.create_task(ask(world, room, user, long(world.dice), turn=turn))
    try:
        if turn_id := await turn:
            await asyncio.sleep(world.dice.uniform(0.3, 3.0))
            await stop(world, room, user, turn_id)
    finally:
        await answer


async def stop(world: World, room: Room, user: str, turn: str) -> None:
    """Ask until somebody says how the turn stands."""
    began = time.time()
    for _ in range(10):
        reply = await world.door.call(
            user, "POST", f"/api/v1/chat/turns/{turn}/cancel", instance=world.instance()
        )
        if reply is not None and reply.status == 200:
            facts = {"by": user, "began": began, "until": time.time(), "status": reply.body["status"]}
            return world.journal.note("cancel", session=room.id, turn=turn, **facts)
        await asyncio.sleep(0.5)
    return None


async def follow_others(world: World, user: str) -> None:
    """Somebody else's turn, if one runs."""
    rooms = [room for room in world.shared if user in (*room.writers(), *room.viewers)]
    if not rooms:
        return
    room = world.dice.choice(rooms)
    path = f"/api/v1/chat/sessions/{room.id}"
    reply = await world.door.call(user, "GET", path, instance=world.instance())
    turn = reply.body.get("running_turn") if reply is not None and reply.status == 200 else None
    if turn:
        await follow(world, room, user, turn)


async def ask_anew(world: World, user: str) -> None:
    room = world.own[user]
    if room.questions:
        await regenerate(world, room, user, world.dice.choice(room.questions))


async def ask_again(world: World, user: str) -> None:
    """In a new session: a key counts for the newest turn of a session."""
    room = await world.new_room(user)
    world.others.append(room)
    await ask_with_key(world, room, user, plain(world.dice), world.dice.uniform(0.01, 1.0))


async def post(world: World, user: str) -> None:
    room = _room(world, user)
    marker, text = write_order(world, room, user, plain(world.dice), way="post")
    path = f"/api/v1/chat/sessions/{room.id}/messages"
    who = {"session": room.id, "user": user, "marker": marker}
    reply = await world.door.call(user, "POST", path, instance=world.instance(), json={"content": text})
    if reply is None:
        world.journal.note("unanswered", **who, why="post")
    elif reply.status == 201:
        world.journal.note("acked", **who, message=reply.body["id"], by="post")
    else:
        world.journal.note("refused", **who, status=reply.status, code=reply.code)


async def speak(world: World, user: str) -> None:
    """On a socket: a message, a stop, or a look back."""
    open_ones = [each for each in world.sockets[user] if each.opened.is_set() and not each.closed.is_set()]
    if not open_ones:
        return
    socket = world.dice.choice(open_ones)
    room = next(each for each in world.rooms if each.id == socket.session)
    chance = world.dice.random()
    if chance < 0.12 and (socket.running or socket.last):
        await socket.resume(socket.running or socket.last, world.dice.randint(0, 40), world.journal)
    elif chance < 0.2 and socket.running and user in room.writers():
        began, turn = time.time(), socket.running
        if await socket.say(frames.cancel(socket.dialect, turn)):
            facts = {"by": user, "began": began, "until": began + 15, "status": ""}
            world.journal.note("cancel", session=room.id, turn=turn, **facts)
    else:
        marker, text = write_order(world, room, user, some_order(world.dice))
        await socket.say(frames.say(socket.dialect, text, marker))


async def take_out(world: World, user: str) -> None:
    """A member of one's shared session is taken out, and let in again after a while."""
    room = next((each for each in world.shared if each.owner == user and each.editors), None)
    if room is None:
        return
    member = world.dice.choice(room.editors)
    room.editors.remove(member)
    path = f"/api/v1/chat/sessions/{room.id}/members/{member}"
    began, removed = time.time(), False
    for _ in range(10):
        reply = await world.door.call(user, "DELETE", path, instance=world.instance())
        removed = reply is not None and reply.status == 200
        if reply is not None and reply.status in (200, 404):
            break
        await asyncio.sleep(0.5)
    if removed:
        world.journal.note("removed", session=room.id, user=member, began=began)
        for socket in world.sockets[member]:
            socket.removed = socket.removed or socket.session == room.id
    await _wait(world, world.dice.uniform(3.0, 8.0))
    if await world.admit(room, member, "editor"):
        world.journal.note("admitted", session=room.id, user=member)
        room.editors.append(member)


async def keep_sockets(world: World, user: str) -> None:
    """Always one, in one of the user's sessions; now and then it is cut, or another is opened instead."""
    while not world.over.is_set():
        rooms = [
            world.own[user],
            *(each for each in world.shared if user in (*each.writers(), *each.viewers)),
        ]
        room = world.dice.choice(rooms)
        dialect = world.dice.choice(("chat", "session", "session"))
        url = await negotiate(world.door, user, room.id, dialect, world.instance())
        if not url:
            await _wait(world, 1.0)
            continue
        name = f"s{world.number()}"
        socket = RoomSocket(name, user, room.id, dialect, world.dice.choice(PROTOCOLS))
        world.sockets[user].append(socket)
        task = asyncio.create_task(socket.live(world.door.http, url, world.journal))
        try:
            await _sit(world, socket)
            if not world.over.is_set() or not socket.opened.is_set():
                await socket.close()
        finally:
            if not world.over.is_set():
                task.cancel()
            await asyncio.wait({task})
            world.sockets[user].remove(socket)


async def _sit(world: World, socket: RoomSocket) -> None:
    """Until the user wants another one, or it closed. Once the run is over it stays."""
    await _wait_closed(world, socket, HELLO)
    if not socket.opened.is_set():
        return
    until = time.monotonic() + world.dice.uniform(*SITTING)
    while time.monotonic() < until and not socket.closed.is_set() and not world.over.is_set():
        await _wait_closed(world, socket, 10.0)
        if world.dice.random() < 0.04:
            socket.cut()


async def _wait_closed(world: World, socket: RoomSocket, seconds: float) -> None:
    waiting = [asyncio.create_task(each.wait()) for each in (world.over, socket.closed)]
    if not socket.opened.is_set():
        waiting.append(asyncio.create_task(socket.opened.wait()))
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


MIX: tuple[tuple[Deed, int], ...] = (
    (ask_something, 30),
    (ask_by_chat, 8),
    (leave_and_return, 10),
    (ask_and_stop, 7),
    (follow_others, 8),
    (ask_anew, 5),
    (ask_again, 3),
    (post, 6),
    (speak, 24),
    (take_out, 2),
)
DEEDS = [deed for deed, _ in MIX]
WEIGHTS = [weight for _, weight in MIX]
