"""The JSON frames of `json.webpubsub.azure.v1` and its reliable form, without I/O.

Shapes: docs "reference-json-webpubsub-subprotocol" and the client specification in Azure/azure-webpubsub, 2026.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

JSON_PROTOCOL = "json.webpubsub.azure.v1"
RELIABLE_PROTOCOL = "json.reliable.webpubsub.azure.v1"
PROTOCOLS = (JSON_PROTOCOL, RELIABLE_PROTOCOL)
DATA_TYPES = {"text": "text/plain", "json": "application/json", "binary": "application/octet-stream"}
METADATA_BYTES = 8 * 1024


class BadFrame(Exception):
    """The frame is not one of the protocol: the client is closed."""


class BadRequest(Exception):
    """The frame is one, but what it asks for is wrong: its ack says so."""


@dataclass(frozen=True, slots=True)
class Payload:
    """Data on its way: `raw` is the JSON text, the text as UTF-8, or the bytes."""

    data_type: str
    raw: bytes
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def shown(self) -> Any:
        """As it stands in a JSON frame."""
        if self.data_type == "json":
            return orjson.Fragment(self.raw)
        return self.raw.decode() if self.data_type == "text" else base64.b64encode(self.raw).decode()


class Message:
    """One message to many clients. Its forms are made once for all of them."""

    def __init__(
        self,
        payload: Payload,
        *,
        group: str = "",
        from_user: str = "",
        stream: Mapping[str, Any] | None = None,
    ) -> None:
        self._payload, self._group, self._from_user, self._stream = payload, group, from_user, stream
        self._frame = ""

    @property
    def bare(self) -> str | bytes:
        """For a simple client: the payload and nothing else."""
        raw = self._payload.raw
        return raw if self._payload.data_type == "binary" else raw.decode()

    def frame(self, sequence_id: int | None = None) -> str:
        """For a client of a JSON protocol."""
        if not self._frame:
            self._frame = _dumped(self._fields())
        return self._frame if sequence_id is None else f'{self._frame[:-1]},"sequenceId":{sequence_id}}}'

    def _fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"type": "message", "from": "group" if self._group else "server"}
        if self._group:
            fields |= {"group": self._group, "fromUserId": self._from_user or None}
        fields |= {"dataType": self._payload.data_type, "data": self._payload.shown()}
        fields |= {"metadata": self._payload.metadata} if self._payload.metadata else {}
        return fields | ({"stream": self._stream} if self._stream else {})


def read_frame(text: str) -> dict[str, Any]:
    """A client's frame. BadFrame when it is not a JSON object with a type."""
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadFrame(f"Invalid JSON: {error}") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise BadFrame("A frame is an object with a type.")
    return frame


def read_ack_id(frame: Mapping[str, Any]) -> int | None:
    """BadFrame when it is not a uint64."""
    ack_id = frame.get("ackId")
    if ack_id is None:
        return None
    if not isinstance(ack_id, int) or isinstance(ack_id, bool) or not 0 <= ack_id < 2**64:
        raise BadFrame("ackId is a whole number.")
    return ack_id


def read_text(frame: Mapping[str, Any], name: str) -> str:
    """A text that must be there. BadRequest."""
    value = frame.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > 1024:
        raise BadRequest(f"{name} must be a text of 1 to 1024 characters.")
    return value


def read_payload(frame: Mapping[str, Any]) -> Payload:
    """The data of a frame. BadRequest."""
    metadata = _metadata(frame.get("metadata"))
    data_type, data = str(frame.get("dataType", "json")).lower(), frame.get("data")
    if data is None and metadata and "dataType" not in frame:
        return Payload("text", b"", metadata)
    if data_type == "json" and data is not None:
        return Payload("json", orjson.dumps(data), metadata)
    if data_type == "text" and isinstance(data, str):
        return Payload("text", data.encode(), metadata)
    if data_type in ("binary", "protobuf") and isinstance(data, str):
        try:
            return Payload("binary", base64.b64decode(data, validate=True), metadata)
        except (binascii.Error, ValueError):
            raise BadRequest("data is not base64.") from None
    raise BadRequest(f"data does not fit dataType {data_type}.")


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadRequest("metadata must be an object.")
    pairs = {str(name): each for name, each in value.items()}
    if not all(isinstance(each, str) and name.isascii() and each.isascii() for name, each in pairs.items()):
        raise BadRequest("metadata holds texts of ASCII.")
    if sum(len(name) + len(each) for name, each in pairs.items()) > METADATA_BYTES:
        raise BadRequest(f"metadata has at most {METADATA_BYTES} bytes.")
    return pairs


def connected_frame(user_id: str, connection_id: str, reconnection_token: str = "") -> str:
    fields = {
        "type": "system",
        "event": "connected",
        "userId": user_id or None,
        "connectionId": connection_id,
    }
    return _dumped(fields | ({"reconnectionToken": reconnection_token} if reconnection_token else {}))


def disconnected_frame(reason: str) -> str:
    return _dumped({"type": "system", "event": "disconnected", "message": reason})


def ack_frame(ack_id: int, error: tuple[str, str] | None = None) -> str:
    """`error` is a name and a message: the Python client cannot do without either."""
    fields: dict[str, Any] = {"type": "ack", "ackId": ack_id, "success": error is None}
    return _dumped(fields | ({"error": {"name": error[0], "message": error[1]}} if error else {}))


def invoke_frame(invocation_id: str, payload: Payload | None, error: tuple[str, str] | None = None) -> str:
    fields: dict[str, Any] = {
        "type": "invokeResponse",
        "invocationId": invocation_id,
        "success": error is None,
    }
    if error:
        return _dumped(fields | {"error": {"name": error[0], "message": error[1]}})
    payload = payload or Payload("text", b"")
    return _dumped(fields | {"dataType": payload.data_type, "data": payload.shown()})


def stream_frame(kind: str, stream_id: str, **more: Any) -> str:
    return _dumped({"type": kind, "streamId": stream_id, **more})


PONG = '{"type":"pong"}'


def _dumped(fields: Mapping[str, Any]) -> str:
    return orjson.dumps(fields).decode()
