"""Turns as they are joined by the name of their chat, with the answer that they go on from."""

from dataclasses import replace
from functools import partial

from chat.app import ChatApp
from chat.asking.chats import find_running
from chat.conversation import Turn
from chat.dialects.base import Dialect, Earlier
from chat.errors import EventsGone, NotFound
from chat.messages import split_message_id
from chat.turns.feed import LiveTurn
from chat.turns.tool_history import stored_calls

EARLIER = 16  # turns that one message is made of, as far back as it is shown again


async def find_live(app: ChatApp, user_id: str, name: str, *, ended: bool) -> LiveTurn | None:
    """The turn of that id, be it `ended`, or the one that runs in the chat of that name. EventsGone."""
    if split_message_id(name):
        try:
            live = await app.runner.open(user_id, name)
            return live if ended or live.turn.running else None
        except NotFound:
            pass
    try:
        return await find_running(app, user_id, name)
    except (NotFound, EventsGone):
        return None


async def joined(app: ChatApp, user_id: str, turn: Turn, dialect: Dialect) -> Dialect:
    """What shows the turn with those that it goes on from."""
    if dialect.joined is None or not (earlier := await _earlier(app, user_id, turn)):
        return dialect
    return replace(dialect, encoder=partial(dialect.joined, earlier=earlier))


async def _earlier(app: ChatApp, user_id: str, turn: Turn) -> list[Earlier]:
    """The turns that one goes on from, the oldest first, as far as they are still there."""
    found: list[Earlier] = []
    message = await app.conversations.get_message(user_id, turn.id)
    while len(found) < EARLIER and (continued := str(message.metadata.get("continues", ""))):
        try:
            live = await app.runner.open(user_id, continued)
            found.insert(0, Earlier(live.turn, live.feed.events, stored_calls(message.metadata)))
            message = await app.conversations.get_message(user_id, continued)
        except (NotFound, EventsGone):
            break
    return found
