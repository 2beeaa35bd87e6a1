"""Streams to a group (client specification 3.6, 2026-06-17): numbered pieces of one long message.

A stream belongs to the connection that opened it. What comes twice is dropped, what comes too early is refused.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.pubsub_service.connections import Connection
from local.pubsub_service.frames import (
    BadFrame,
    BadRequest,
    Message,
    Payload,
    read_payload,
    read_text,
    stream_frame,
)

IDLE_MS = 300_000
EMPTY = Payload("text", b"")  # clients cannot do without data, also at the end

type Publish = Callable[[str, Message, bool], None]  # group, message, without echo


@dataclass(slots=True)
class _Stream:
    id: str
    group: str
    no_echo: bool
    idle: float
    expected: int = 1
    timer: asyncio.TimerHandle | None = None


class Streams:
    """The open streams of one connection."""

    def __init__(self, connection: Connection, publish: Publish) -> None:
        self._connection, self._publish = connection, publish
        self._open: dict[str, _Stream] = {}

    def start(self, frame: Mapping[str, Any]) -> None:
        """A `sendToGroup` with a `stream`. BadFrame without a streamId: no answer could say which is meant."""
        asked = frame["stream"]
        if not isinstance(asked, dict) or not isinstance(asked.get("streamId"), str) or not asked["streamId"]:
            raise BadFrame("stream needs a streamId.")
        stream_id = asked["streamId"]
        try:
            group, idle = read_text(frame, "group"), _idle(asked)
        except BadRequest as error:
            return self._closed(stream_id, "BadRequest", str(error))
        if not self._connection.permissions.allow("sendToGroup", group):
            self._closed(stream_id, "Forbidden", "The client may not send to this group.")
        elif stream_id in self._open:
            self._closed(stream_id, "BadRequest", "There is such a stream already.")
        else:
            stream = self._open[stream_id] = _Stream(stream_id, group, bool(frame.get("noEcho")), idle)
            self._heard(stream)
            self._ack(stream)
        return None

    def data(self, frame: Mapping[str, Any]) -> None:
        """`streamData`; without a number it only says that the stream lives."""
        stream = self._find(frame)
        if stream is None:
            return
        self._heard(stream)
        number = frame.get("streamSequenceId")
        if number is None:
            return
        try:
            self._take(stream, number, frame)
        except BadRequest as error:
            self._finish(stream, {"name": "Cancelled", "message": "The publisher sent what cannot be read."})
            self._closed(stream.id, "BadRequest", str(error))

    def end(self, frame: Mapping[str, Any]) -> None:
        """`streamEnd`"""
        stream = self._find(frame)
        if stream is None:
            return
        error = frame.get("error")
        said = {"name": "UserError", **error} if isinstance(error, dict) else None
        self._finish(stream, said)
        self._put("streamClosed", stream.id)

    def close(self) -> None:
        """The connection is gone for good."""
        for stream in list(self._open.values()):
            self._finish(stream, {"name": "Cancelled", "message": "The publisher is gone."})

    def _take(self, stream: _Stream, number: object, frame: Mapping[str, Any]) -> None:
        if not isinstance(number, int):
            raise BadRequest("streamSequenceId must be a number.")
        if number == stream.expected:
            self._send(stream, read_payload(frame), {})
            stream.expected += 1
        if number < stream.expected:
            self._ack(stream)
        else:
            error = {"name": "InvalidSequenceId", "message": f"{stream.expected} was expected."}
            self._put("streamNack", stream.id, **error, expectedSequenceId=stream.expected)

    def _find(self, frame: Mapping[str, Any]) -> _Stream | None:
        stream_id = str(frame.get("streamId") or "")
        if stream_id not in self._open:
            self._closed(stream_id, "StreamNotFound", "There is no such stream.")
        return self._open.get(stream_id)

    def _heard(self, stream: _Stream) -> None:
        if stream.timer is not None:
            stream.timer.cancel()
        stream.timer = asyncio.get_running_loop().call_later(stream.idle, self._expire, stream)

    def _expire(self, stream: _Stream) -> None:
        error = {"name": "IdleTimeout", "message": "Nothing came for too long."}
        self._finish(stream, error)
        self._closed(stream.id, error["name"], error["message"])

    def _finish(self, stream: _Stream, error: Mapping[str, Any] | None) -> None:
        if stream.timer is not None:
            stream.timer.cancel()
        del self._open[stream.id]
        self._send(stream, EMPTY, {"endOfStream": True, **({"error": error} if error else {})})

    def _send(self, stream: _Stream, payload: Payload, more: Mapping[str, Any]) -> None:
        place = {"streamId": stream.id, "streamSequenceId": stream.expected, **more}
        message = Message(payload, group=stream.group, from_user=self._connection.user_id, stream=place)
        self._publish(stream.group, message, stream.no_echo)

    def _ack(self, stream: _Stream) -> None:
        self._put("streamAck", stream.id, expectedSequenceId=stream.expected)

    def _closed(self, stream_id: str, name: str, message: str) -> None:
        self._put("streamClosed", stream_id, error={"name": name, "message": message})

    def _put(self, kind: str, stream_id: str, **more: Any) -> None:
        self._connection.put(stream_frame(kind, stream_id, **more))


def _idle(asked: Mapping[str, Any]) -> float:
    """The seconds after which a silent stream is closed. BadRequest."""
    idle = asked.get("idleTimeoutMs") or IDLE_MS
    if not isinstance(idle, int) or idle < 1:
        raise BadRequest("idleTimeoutMs must be a number of milliseconds.")
    return idle / 1000
