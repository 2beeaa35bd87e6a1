"""The host's side of the `webPubSub` output binding: actions that a function sets, carried out as REST calls.

An action is a JSON object, several are an array; names of actions are compared without case (azure-sdk-for-net,
WebPubSubAction, read November 2026).
"""

import io
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient

from local.functions_host.functions import Function

DEFAULT_CONNECTION = "WebPubSubConnectionString"
DEFAULT_HUB = "WebPubSubHub"
CONTENT_TYPES = {"text": "text/plain", "json": "application/json", "binary": "application/octet-stream"}

type Fields = Mapping[str, Any]


class ActionError(Exception):
    """An action that cannot be carried out: the invocation has failed."""


async def carry_out(function: Function, outputs: Iterable[Any]) -> None:
    """Do what a function set on its `webPubSub` bindings. ActionError, and what the SDK raises."""
    given = {each.name: each.data for each in outputs}
    for binding in function.bindings:
        if str(binding.get("type")).lower() != "webpubsub" or binding["name"] not in given:
            continue
        actions = _read(given[binding["name"]])
        if not actions:
            continue
        setting = str(binding.get("connection") or DEFAULT_CONNECTION)
        hub = str(binding.get("hub") or os.environ.get(DEFAULT_HUB, ""))
        if not os.environ.get(setting):
            raise ActionError(f"the setting {setting} is missing")
        async with WebPubSubServiceClient.from_connection_string(os.environ[setting], hub) as service:
            for action in actions:
                await _do(service, action)


def _read(data: Any) -> list[Fields]:
    text = getattr(data, "string", None) or getattr(data, "json", None)
    if not text:
        return []
    try:
        value = json.loads(text)
    except ValueError:
        raise ActionError("what was set on a webPubSub binding is not JSON") from None
    actions: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(each, dict) for each in actions):
        raise ActionError("an action must be an object")
    return actions


async def _do(service: WebPubSubServiceClient, fields: Fields) -> None:
    name = str(fields.get("actionName") or "")
    call = CALLS.get(name.lower())
    if call is None:
        raise ActionError(f"there is no action {name!r}")
    await call(service, fields)


def _message(fields: Fields) -> tuple[Any, dict[str, Any]]:
    """The data as the SDK wants it, and what goes with it."""
    kind, data = str(fields.get("dataType") or "text").lower(), fields.get("data")
    if isinstance(data, dict) and data.get("type") == "Buffer":
        data = io.BytesIO(bytes(data["data"]))
    elif isinstance(data, str):
        # As bytes: the SDK counts the characters of a text.
        data = io.BytesIO(data.encode())
    else:
        raise ActionError("data must be a string")
    if kind not in CONTENT_TYPES:
        raise ActionError(f"there is no dataType {kind!r}")
    excluded = {"excluded": fields["excluded"]} if fields.get("excluded") else {}
    return data, {"content_type": CONTENT_TYPES[kind], **excluded}


def _send(method: str, *targets: str) -> Callable[[Any, Fields], Awaitable[None]]:
    async def send(service: Any, fields: Fields) -> None:
        data, options = _message(fields)
        await getattr(service, method)(*(fields[each] for each in targets), data, **options)

    return send


def _call(method: str, *targets: str) -> Callable[[Any, Fields], Awaitable[None]]:
    async def call(service: Any, fields: Fields) -> None:
        given = {"excluded": fields.get("excluded"), "reason": fields.get("reason")}
        options = {name: value for name, value in given.items() if value}
        await getattr(service, method)(*(fields[each] for each in targets), **options)

    return call


def _permission(method: str) -> Callable[[Any, Fields], Awaitable[None]]:
    async def change(service: Any, fields: Fields) -> None:
        options = {"target_name": fields["targetName"]} if fields.get("targetName") else {}
        await getattr(service, method)(fields["permission"], fields["connectionId"], **options)

    return change


CALLS: Mapping[str, Callable[[Any, Fields], Awaitable[None]]] = {
    "sendtoall": _send("send_to_all"),
    "sendtogroup": _send("send_to_group", "group"),
    "sendtouser": _send("send_to_user", "userId"),
    "sendtoconnection": _send("send_to_connection", "connectionId"),
    "addusertogroup": _call("add_user_to_group", "group", "userId"),
    "removeuserfromgroup": _call("remove_user_from_group", "group", "userId"),
    "removeuserfromallgroups": _call("remove_user_from_all_groups", "userId"),
    "addconnectiontogroup": _call("add_connection_to_group", "group", "connectionId"),
    "removeconnectionfromgroup": _call("remove_connection_from_group", "group", "connectionId"),
    "closeallconnections": _call("close_all_connections"),
    "closeclientconnection": _call("close_connection", "connectionId"),
    "closegroupconnections": _call("close_group_connections", "group"),
    "grantpermission": _permission("grant_permission"),
    "revokepermission": _permission("revoke_permission"),
}
"""By name in lower case."""
