"""What rooms are told beside turns, and the messages that frames of turns lack."""

from collections.abc import Mapping

from chat.dialects.base import Dialect
from chat.errors import ChatError, PushError
from chat.events import TERMINAL_NUMBER, JSONObject
from chat.messages import Message
from chat.news import MessageAction, MessageShown, News, Notice
from chat.push.base import PushService, room_of
from chat.store.conversation_store import ConversationStore
from chat.store.presence_store import Connection
from chat.telemetry import record
from chat.turns.tasks import TaskSet


class RoomNews:
    """Tells everybody in a room, or one socket, in the words of their dialects."""

    def __init__(self, push: PushService, dialects: Mapping[str, Dialect]) -> None:
        self._push, self._dialects = push, dialects
        self._tasks = TaskSet()

    async def tell(self, session_id: str, news: News, *, but_user: str = "") -> None:
        """To everybody in the room. What cannot be sent is left out: it is no part of an answer."""
        for name, dialect in self._dialects.items():
            if dialect.face.news is not None:
                for frame in dialect.face.news(session_id, news):
                    await self._tell(room_of(session_id, name), frame, but_user)

    async def _tell(self, room: str, frame: JSONObject, but_user: str) -> None:
        try:
            await self._push.send_to_group(room, frame, but_user=but_user)
        except ChatError as error:
            record("frame_lost", room=room, type=str(frame.get("type")), code=error.code)

    async def notice(self, connection: Connection, notice: Notice) -> None:
        """A word to one socket, if its dialect has one. Lost when the service is away."""
        known = self._dialects.get(connection.dialect)
        if known is None or known.face.news is None:
            return
        try:
            for frame in known.face.news(connection.session_id, notice):
                await self._push.send_to_connection(connection.id, frame)
        except PushError as error:
            record("notice_lost", connection_id=connection.id, code=error.code)

    def tell_later(self, session_id: str, news: News) -> None:
        """The same as `tell`, for who shall not wait for it."""
        self._tasks.spawn(self.tell(session_id, news))

    def tell_message(self, message: Message, action: MessageAction = "new_message") -> None:
        """A message that was stored or changed."""
        self.tell_later(message.session_id, MessageShown(message, action))

    async def settle(self, seconds: float) -> None:
        """Let what is on its way go out."""
        await self._tasks.settle(seconds)
        await self._tasks.close()


class Filling:
    """Gives frames of turns the stored messages that they lack."""

    def __init__(self, conversations: ConversationStore) -> None:
        self._conversations = conversations

    async def __call__(
        self, dialect: Dialect, payload: JSONObject, known: Message | None = None
    ) -> JSONObject:
        """A frame about a message with all keys of it. `known` is the message, be it as it was when its turn began:
        the end of a turn shows what is stored. ChatError where nothing is known."""
        face = dialect.face
        name = face.lacks(payload) if face.lacks is not None else ""
        if not name or face.filled is None:
            return payload
        if known is None or (known.status == "streaming" and payload["seq"] == TERMINAL_NUMBER):
            known = await self._stored(name, known)
        return face.filled(payload, known)

    async def _stored(self, message_id: str, known: Message | None) -> Message:
        try:
            return await self._conversations.load_message(message_id)
        except ChatError:
            if known is None:
                raise
            return known
