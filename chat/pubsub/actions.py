"""Does what a client asks for on its socket. Turns run on by themselves: no event waits for an answer."""

from chat.app import ChatApp
from chat.dialects.base import SocketFace
from chat.errors import ChatError, Forbidden, ValidationError
from chat.events import JSONObject
from chat.requests import Answered, Approve, Cancel, Resume, Say, SessionAction, TurnRequest, Typing
from chat.rooms.sockets import Sockets
from chat.schemas.fields import check_size
from chat.store.conversation_store import Waits
from chat.store.instance_store import Join
from chat.store.presence_store import Connection
from chat.telemetry import record
from chat.turns.client_calls import find_continued


async def act(
    app: ChatApp, sockets: Sockets, connection: Connection, action: SessionAction, *, nonce: str = ""
) -> JSONObject | str | None:
    """Do it. `nonce` names the event, in case it comes again. The frame that answers, to this socket alone; what
    everybody shall see comes to it as to all others. ChatError."""
    match action:
        case Say():
            return await _say(app, sockets, connection, action, nonce)
        case Approve():
            return await _approve(app, connection, action, nonce)
        case Cancel(turn_id):
            return await _cancel(app, connection, turn_id)
        case Resume(turn_id, after, further):
            turn = await app.runner.look(connection.user_id, turn_id)
            if turn.session_id != connection.session_id:
                raise ValidationError("turn_id", "Not a turn of this session")
            await sockets.rooms.show(turn, Join(turn.id, connection.id, connection.dialect, after, further))
            return None
        case Typing(is_typing):
            user_id, session_id = connection.user_id, connection.session_id
            session = await app.conversations.get_session(user_id, session_id)
            if not session.allows(user_id, "editor"):
                raise Forbidden
            await sockets.attendance.typing(session_id, user_id, is_typing=is_typing)
            return None
        case Answered(frame):
            return frame


async def _say(
    app: ChatApp, sockets: Sockets, connection: Connection, say: Say, nonce: str
) -> JSONObject | None:
    check_size("content", say.text, limit=app.settings.max_message_bytes)
    face = app.dialects[connection.dialect].face
    if face.news is not None:  # in no other does anybody type; nor does the message wait for it
        user_id, session_id = connection.user_id, connection.session_id
        app.tasks.spawn(sockets.attendance.typing(session_id, user_id, is_typing=False))
    request = TurnRequest(
        connection.user_id,
        content=say.text,
        session_id=connection.session_id,
        dialect=connection.dialect,
        pipeline=say.pipeline,
        input=say.input,
        parent_message_id=say.parent_message_id,
        nonce=nonce,
    )
    if not say.reply:
        posted = await app.conversations.post_message(request)
        if posted.new:
            sockets.rooms.news.tell_message(posted.message)
        return _ack(face, say, posted.message.id)
    asked = await app.ask(request, usual="queue")
    if isinstance(asked, Waits):
        return _ack(face, say, asked.message.id)
    return _ack(face, say, asked.turn.user_message_id, asked.turn.id)


async def _approve(app: ChatApp, connection: Connection, approve: Approve, nonce: str) -> JSONObject | None:
    request = TurnRequest(
        connection.user_id, session_id=connection.session_id, dialect=connection.dialect, nonce=nonce
    )
    asked = await app.ask(
        await find_continued(app.conversations, app.turns, app.tools, request, approve.approvals),
        usual="reject",
    )
    assert not isinstance(asked, Waits)  # what goes on from an answer has its place, and waits for none
    face = app.dialects[connection.dialect].face
    return _ack(face, approve, asked.turn.user_message_id, asked.turn.id)


def _ack(face: SocketFace, say: Say | Approve, message_id: str, turn_id: str = "") -> JSONObject | None:
    if not say.request_id or face.ack is None:
        return None
    return face.ack(say, message_id, turn_id)


async def _cancel(app: ChatApp, connection: Connection, turn_id: str) -> None:
    """Stop a turn of the session. The room sees how it ends; that takes longer than an event may."""
    if not turn_id:
        session = await app.conversations.get_session(connection.user_id, connection.session_id)
        if not session.allows(connection.user_id, "editor"):
            raise Forbidden
        turn_id = session.running_turn
    if not turn_id:
        return
    turn = await app.turns.get_turn(connection.user_id, turn_id, need="editor")
    if turn.session_id != connection.session_id:
        raise ValidationError("turn_id", "Not a turn of this session")

    async def cancel() -> None:
        try:
            await app.runner.cancel(connection.user_id, turn_id)
        except ChatError as error:
            record("cancel_failed", turn_id=turn_id, code=error.code)

    app.tasks.spawn(cancel())
