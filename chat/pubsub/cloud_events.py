"""Socket events as CloudEvents over HTTP (binary mode, version 1.0), as Web PubSub sends them to any handler.

Header names are lower case here. Shapes: docs "reference-cloud-events" of Azure Web PubSub, 2026.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from chat.errors import InvalidBody, Unauthenticated, ValidationError
from chat.events import JSONObject
from chat.pubsub.connect_body import ConnectBody
from chat.pubsub.socket_events import SYSTEM, Accepted, Reply, SocketEvent
from chat.schemas.fields import check_id, read_json, validate
from chat.user_ids import of_token, to_token

ORIGIN = "webhook-request-origin"
ALLOWED = "webhook-allowed-origin"
STATE = "ce-connectionstate"
NEEDED = ("ce-connectionid", "ce-hub", "ce-type", "ce-eventname")
SYSTEM_TYPE = "azure.webpubsub.sys."
USER_TYPE = "azure.webpubsub.user."
MEDIA = ("text/plain", "application/json", "application/octet-stream")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A reply with 2xx."""

    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def status(self) -> int:
        return 200 if self.body else 204


def check_signature(headers: Mapping[str, str], keys: Sequence[str]) -> None:
    """Unauthenticated unless one of the signatures is the connection id's, by one of the keys."""
    connection_id = headers.get("ce-connectionid", "").encode()
    given = [each.strip().lower().encode() for each in headers.get("ce-signature", "").split(",")]
    right = [
        b"sha256=" + hmac.digest(key.encode(), connection_id, hashlib.sha256).hex().encode() for key in keys
    ]
    if not any(hmac.compare_digest(one, other) for one in given for other in right):
        raise Unauthenticated("The signature is not that of the socket service.")


def read_event(headers: Mapping[str, str], body: bytes, *, hub: str) -> SocketEvent:
    """A signed event of the hub. ValidationError, InvalidBody."""
    _check_headers(headers, hub)
    kind = headers["ce-type"].lower()
    common: dict[str, Any] = {
        "name": headers["ce-eventname"],
        "connection_id": headers["ce-connectionid"],
        "id": headers.get("ce-id", ""),
        "user_id": of_token(headers.get("ce-userid", "")),
        "states": _read_states(headers.get(STATE, "")),
    }
    if kind.startswith(USER_TYPE):
        if headers.get("content-type", "").partition(";")[0].strip().lower() not in MEDIA:
            raise ValidationError("content-type", f"Not one of {', '.join(MEDIA)}")
        return SocketEvent(kind="user", data=body.decode("utf-8", "replace"), **common)
    system = SYSTEM.get(kind.removeprefix(SYSTEM_TYPE))
    if system is None:
        raise ValidationError("ce-type", "There is no such event")
    said = validate(ConnectBody, _object(body))
    return SocketEvent(
        kind=system, query=said.query, subprotocols=said.subprotocols, headers=said.headers, **common
    )


def show_reply(reply: Reply) -> HttpReply:
    """What is answered."""
    if isinstance(reply, Accepted):
        accepted: JSONObject = {"userId": to_token(reply.user_id), "groups": list(reply.groups), "roles": []}
        accepted |= {"subprotocol": reply.subprotocol} if reply.subprotocol else {}
        headers = {"content-type": "application/json", STATE: _show_states(reply.states)}
        return HttpReply(orjson.dumps(accepted), headers)
    if reply.frame is None:
        return HttpReply()
    if isinstance(reply.frame, str):
        return HttpReply(reply.frame.encode(), {"content-type": "text/plain"})
    return HttpReply(orjson.dumps(reply.frame), {"content-type": "application/json"})


def _check_headers(headers: Mapping[str, str], hub: str) -> None:
    """ValidationError names the header."""
    for name in NEEDED:
        if not headers.get(name):
            raise ValidationError(name, "This header must be there")
    for name in (*NEEDED, "ce-id"):
        check_id(name, headers.get(name, ""))
    if headers["ce-hub"].lower() != hub.lower():  # another one may have the same key
        raise ValidationError("ce-hub", f"Not the hub of this app, which is {hub}")


def _object(body: bytes) -> dict[str, Any]:
    value = read_json(body or b"{}", refusal="The body is not JSON")
    if not isinstance(value, dict):
        raise InvalidBody
    return value


def _show_states(states: Mapping[str, str]) -> str:
    """The service keeps one text with a socket."""
    return base64.b64encode(orjson.dumps(dict(states))).decode()


def _read_states(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        value = orjson.loads(base64.b64decode(text, validate=True))
    except ValueError:
        return {}
    return {str(name): str(each) for name, each in value.items()} if isinstance(value, dict) else {}
