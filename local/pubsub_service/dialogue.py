"""What one client says, once it is connected: each frame to what it asks for.

Events of a client go to their handler one after the other; everything else is answered meanwhile.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from local.pubsub_service.connections import Connection
from local.pubsub_service.frames import (
    BadFrame,
    BadRequest,
    Message,
    Payload,
    ack_frame,
    invoke_frame,
    read_ack_id,
    read_frame,
    read_payload,
    read_text,
)
from local.pubsub_service.hubs import Hub, deliver
from local.pubsub_service.options import Options
from local.pubsub_service.streams import Streams
from local.pubsub_service.upstream import EventFailed, Upstream

EVENT_NAME = re.compile(r"[a-z][a-z0-9_.-]{0,127}", re.IGNORECASE)
WAITING = 1000  # events of one client that wait for their handler
BAD_PAYLOAD = 1007
POLICY = 1008
INTERNAL = 1011

type Error = tuple[str, str]

DUPLICATE: Error = ("Duplicate", "This was done before.")


class Refused(Exception):
    """An operation that is not done: the name and the message of its ack."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.error: Error = (name, message)


class Dialogue:
    """One connection's incoming side, for as long as the connection lives."""

    def __init__(
        self, connection: Connection, hub: Hub, upstream: Upstream, options: Options, *, group: str
    ) -> None:
        self.connection = connection
        self._hub, self._upstream, self._options = hub, upstream, options
        self._group = group  # where a simple client's frames go; "" makes them events
        self._events: asyncio.Queue[Callable[[], Coroutine[Any, Any, None]]] = asyncio.Queue(WAITING)
        self._worker = asyncio.create_task(self._work())
        self._streams = Streams(connection, self._publish)
        self._invocations: dict[str, asyncio.Task[None]] = {}
        self._kinds: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "ping": self._ping,
            "sequenceack": self._sequence_ack,
            "joingroup": self._join,
            "leavegroup": self._leave,
            "sendtogroup": self._send_to_group,
            "event": self._event,
            "invoke": self._invoke,
            "cancelinvocation": self._cancel_invocation,
            "streamdata": self._streams.data,
            "streamend": self._streams.end,
        }

    def hear(self, data: str | bytes) -> None:
        """A frame of the client. BadFrame when the client is to be closed for it."""
        if not self.connection.has_frames:
            payload = Payload("binary", data) if isinstance(data, bytes) else Payload("text", data.encode())
            return self._hear_bare(payload)
        if isinstance(data, bytes):
            raise BadFrame("This protocol has text frames only.")
        frame = read_frame(data)
        kind = frame["type"].lower()
        if kind not in self._kinds:
            raise BadFrame(f"There is no frame of type {frame['type']}.")
        return self._kinds[kind](frame)

    def close(self) -> None:
        """The connection is gone for good."""
        self._worker.cancel()
        for task in self._invocations.values():
            task.cancel()
        self._streams.close()

    def _hear_bare(self, payload: Payload) -> None:
        if not self._group:
            self._enqueue(lambda: self._bare_event(payload))
        elif self.connection.permissions.allow("sendToGroup", self._group):
            self._publish(
                self._group, Message(payload, group=self._group, from_user=self.connection.user_id), False
            )

    def _ping(self, _frame: Mapping[str, Any]) -> None:
        self.connection.pong()

    def _sequence_ack(self, frame: Mapping[str, Any]) -> None:
        number = frame.get("sequenceId")
        if not self.connection.reliable or not isinstance(number, int):
            raise BadFrame("sequenceAck needs the reliable protocol and a number.")
        self.connection.acknowledge(number)

    def _join(self, frame: Mapping[str, Any]) -> None:
        def join() -> None:
            self._hub.join(self.connection, self._allowed(frame, "joinLeaveGroup"))

        self._operate(frame, join)

    def _leave(self, frame: Mapping[str, Any]) -> None:
        def leave() -> None:
            self._hub.leave(self.connection, self._allowed(frame, "joinLeaveGroup"))

        self._operate(frame, leave)

    def _send_to_group(self, frame: Mapping[str, Any]) -> None:
        if "stream" in frame:
            return self._streams.start(frame)

        def send() -> None:
            group = self._allowed(frame, "sendToGroup")
            message = Message(read_payload(frame), group=group, from_user=self.connection.user_id)
            self._publish(group, message, bool(frame.get("noEcho")))

        return self._operate(frame, send)

    def _event(self, frame: Mapping[str, Any]) -> None:
        ack_id = read_ack_id(frame)
        if ack_id is not None and self.connection.is_done(ack_id):
            return self._ack(ack_id, DUPLICATE)
        return self._enqueue(lambda: self._acked_event(frame, ack_id))

    def _invoke(self, frame: Mapping[str, Any]) -> None:
        invocation_id = str(frame.get("invocationId") or "")
        task = asyncio.create_task(self._invoked(invocation_id, frame))
        self._invocations[invocation_id] = task
        task.add_done_callback(lambda _: self._invocations.pop(invocation_id, None))

    def _cancel_invocation(self, frame: Mapping[str, Any]) -> None:
        task = self._invocations.pop(str(frame.get("invocationId") or ""), None)
        if task is not None:
            task.cancel()

    def _operate(self, frame: Mapping[str, Any], operation: Callable[[], None]) -> None:
        """Do it once for each ack id: one that failed may be tried again under the same."""
        ack_id = read_ack_id(frame)
        if ack_id is not None and self.connection.is_done(ack_id):
            return self._ack(ack_id, DUPLICATE)
        try:
            operation()
        except Refused as refused:
            return self._ack(ack_id, refused.error)
        except BadRequest as error:
            return self._ack(ack_id, ("BadRequest", str(error)))
        return self._ack(ack_id)

    def _ack(self, ack_id: int | None, error: Error | None = None) -> None:
        if ack_id is None:
            return
        if error is None:
            self.connection.done(ack_id)
        frame = ack_frame(ack_id, error)
        if self._options.ack_delay:
            asyncio.get_running_loop().call_later(self._options.ack_delay, self.connection.put, frame)
        else:
            self.connection.put(frame)

    def _allowed(self, frame: Mapping[str, Any], deed: Any) -> str:
        group = read_text(frame, "group")
        if not self.connection.permissions.allow(deed, group):
            raise Refused("Forbidden", f"The client has no role for {deed} of {group}.")
        return group

    def _publish(self, group: str, message: Message, no_echo: bool) -> None:
        deliver(message, self._hub.members(group), excluded=(self.connection.id,) if no_echo else ())

    def _enqueue(self, event: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.connection.close(POLICY, "Too many events wait for their handler")

    async def _work(self) -> None:
        while True:
            event = await self._events.get()
            await event()

    async def _bare_event(self, payload: Payload) -> None:
        try:
            reply = (await self._upstream.user_event(self.connection, "message", payload)).payload()
        except EventFailed as error:
            return self.connection.close(INTERNAL, f"The event failed: {error}")
        return self._reply(reply)

    async def _acked_event(self, frame: Mapping[str, Any], ack_id: int | None) -> None:
        if ack_id is not None and self.connection.is_done(ack_id):  # by the one that it repeats, meanwhile
            return self._ack(ack_id, DUPLICATE)
        try:
            name, payload = _event_name(frame), read_payload(frame)
            self._reply((await self._upstream.user_event(self.connection, name, payload)).payload())
        except BadRequest as error:
            return self._ack(ack_id, ("BadRequest", str(error)))
        except EventFailed as error:
            if self._options.failed_events == "drop":
                return self.connection.close(INTERNAL, f"The event failed: {error}")
            return self._ack(ack_id, ("InternalServerError", f"The event failed: {error}"))
        return self._ack(ack_id)

    async def _invoked(self, invocation_id: str, frame: Mapping[str, Any]) -> None:
        try:
            name, payload = _event_name(frame), read_payload(frame)
            answer = (await self._upstream.user_event(self.connection, name, payload)).payload()
        except BadRequest as error:
            return self.connection.put(invoke_frame(invocation_id, None, ("BadRequest", str(error))))
        except EventFailed as error:
            return self.connection.put(invoke_frame(invocation_id, None, ("InternalServerError", str(error))))
        return self.connection.put(invoke_frame(invocation_id, answer))

    def _reply(self, payload: Payload | None) -> None:
        if payload is not None:
            self.connection.deliver(Message(payload))


def _event_name(frame: Mapping[str, Any]) -> str:
    name = frame.get("event")
    if not isinstance(name, str) or not EVENT_NAME.fullmatch(name):
        raise BadRequest("event must be a name of letters, digits, _ . and -.")
    return name
