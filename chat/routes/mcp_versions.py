"""Which era of the protocol a request is of, and whether its headers say what its body says.

Until 2025-11-25 a client begins with `initialize`; since 2026-07-28 each request brings in `params._meta` what that
said, and headers repeat what a proxy may want to know.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chat.events import JSONObject
from chat.schemas.json_rpc import HEADER_MISMATCH, INVALID_PARAMS, UNSUPPORTED_VERSION, RpcError
from chat.schemas.mcp_bodies import McpMessage

HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN = ("2026-07-28",)
VERSION, METHOD, NAME = "mcp-protocol-version", "mcp-method", "mcp-name"
OF_CLIENT = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
NAMED: Mapping[str, str] = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}

type Header = Callable[[str], Sequence[str]]


def is_modern(message: McpMessage, header: Header) -> bool:
    """Whether it is of the era without `initialize`. RpcError for one of no known version, and for one that
    contradicts itself."""
    for name in (VERSION, METHOD, NAME):
        if len(header(name)) > 1:
            raise RpcError(HEADER_MISMATCH, f"{name} header appears more than once")
    version = _only(header, VERSION)
    if version is None or version in HANDSHAKE:
        return False
    if version not in MODERN:
        supported: JSONObject = {"supported": [*MODERN, *HANDSHAKE], "requested": version[:100]}
        raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", supported)
    if message.is_request:
        _check_envelope(message, version)
        _check_headers(message, header)
    return True


def agreed(version: object) -> str:
    """What `initialize` is answered with."""
    return version if isinstance(version, str) and version in HANDSHAKE else HANDSHAKE[-1]


def _check_envelope(message: McpMessage, version: str) -> None:
    meta: Any = message.params.get("_meta")
    missing = [key for key in (OF_CLIENT, CAPABILITIES) if not isinstance(meta, dict) or key not in meta]
    if missing:
        raise RpcError(INVALID_PARAMS, f"params._meta is missing: {', '.join(missing)}")
    if meta[OF_CLIENT] != version:
        raise RpcError(HEADER_MISMATCH, f"{VERSION} header does not match the request's _meta")


def _check_headers(message: McpMessage, header: Header) -> None:
    if _only(header, METHOD) != message.method:
        raise RpcError(HEADER_MISMATCH, f"{METHOD} header does not match the request's method")
    key = NAMED.get(message.method, "")
    named = message.params.get(key)
    if named is not None and _decoded(_only(header, NAME)) != named:
        raise RpcError(HEADER_MISMATCH, f"{NAME} header does not match the request's {key}")


def _only(header: Header, name: str) -> str | None:
    return next(iter(header(name)), None)


def _decoded(value: str | None) -> str | None:
    """A name that a header cannot hold comes as `=?base64?...?=`."""
    if value is None or not (value.startswith("=?base64?") and value.endswith("?=")):
        return value
    try:
        return base64.b64decode(value[9:-2], validate=True).decode()
    except (binascii.Error, ValueError):
        return None
