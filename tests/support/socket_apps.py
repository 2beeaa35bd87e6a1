"""An app with sockets, all of it in memory."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chat.app import DIALECTS, ChatApp
from chat.rooms.attendance import Attendance
from chat.rooms.evictions import Evictions
from chat.rooms.flood import FloodGuard
from chat.rooms.rooms import Rooms
from chat.rooms.sockets import Sockets, StateKeys
from tests.support.apps import TestApp, make_app
from tests.support.fake_push import FakePush
from tests.support.memory_store import MemoryStore


@dataclass
class SocketApp:
    """The app, and what a test wants to look at."""

    app: ChatApp
    store: MemoryStore
    push: FakePush
    sockets: Sockets


@asynccontextmanager
async def socket_app(
    *scripts: list[str], settings: Mapping[str, str] | None = None
) -> AsyncGenerator[SocketApp]:
    """`settings` are rows of the settings' table."""
    made = make_app(*scripts, settings=settings)
    app, push = made.app, FakePush()
    app.sockets = sockets = open_sockets(made, push)
    app.evictions = Evictions(made.store, made.store, sockets, DIALECTS)
    yield SocketApp(app, made.store, push, sockets)
    await made.wait_for_turns()
    await app.tasks.close()
    await sockets.aclose()
    await app.close()


def open_sockets(made: TestApp, push: FakePush) -> Sockets:
    """As another process over the same store and service would have them."""
    app, store = made.app, made.store
    rooms = Rooms(
        push=push,
        presence=store,
        conversations=store,
        turns=store,
        instances=store,
        errands=store,
        dialects=DIALECTS,
    )
    attendance = Attendance(store, rooms, push, app.clock, per_session=5, per_user=2)
    return Sockets(push, store, rooms, attendance, FloodGuard(app.clock.monotonic), StateKeys((), store))
