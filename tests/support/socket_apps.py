"""An app with sockets, all of it in memory."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chat.app import ChatApp
from chat.rooms.sockets import Sockets
from tests.support.apps import make_app
from tests.support.fake_push import FakePush
from tests.support.memory.store import MemoryStore


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
    push = FakePush()
    made = make_app(*scripts, settings=settings, push=push, per_session=5, per_user=2)
    yield SocketApp(made.app, made.store, push, made.app.sockets.require())
    await made.wait_for_turns()
    await made.app.close()
