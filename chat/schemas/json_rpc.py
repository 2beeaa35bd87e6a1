"""Messages of JSON-RPC 2.0 as the Model Context Protocol has them, and its errors.

https://modelcontextprotocol.io/specification/2025-11-25/basic and the release of 2026-07-28.
"""

from collections.abc import Mapping
from typing import Any

from chat.events import JSON, JSONObject

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REFUSED = -32000  # ours: what `data.code` says
RESOURCE_NOT_FOUND = -32002  # until 2025-11-25; later it is INVALID_PARAMS
HEADER_MISMATCH = -32020
UNSUPPORTED_VERSION = -32022

STATUS: Mapping[int, int] = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}
"""Of errors since 2026-07-28. Before, an error that answers a request is a reply like any other."""
EARLY = (PARSE_ERROR, INVALID_REQUEST, HEADER_MISMATCH, UNSUPPORTED_VERSION)
"""Errors that say that it was no request: these have their status in both eras."""


class RpcError(Exception):
    """A request is answered with this error."""

    def __init__(self, code: int, message: str, data: JSON = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


def show_result(rpc_id: JSON, result: JSONObject) -> JSONObject:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": result}


def show_error(rpc_id: JSON, error: RpcError) -> JSONObject:
    said: JSONObject = {"code": error.code, "message": error.message}
    return {
        "jsonrpc": "2.0",
        "id": rpc_id,
        "error": said if error.data is None else {**said, "data": error.data},
    }


def status_of(error: RpcError, *, modern: bool) -> int:
    """The HTTP status of the reply that is an error."""
    return STATUS.get(error.code, 200) if modern or error.code in EARLY else 200


def show_tool_result(
    *texts: str, structured: Mapping[str, Any] | None = None, is_error: bool = False
) -> JSONObject:
    """What a tool answers: texts for models, the structured content for programs."""
    content: list[JSON] = [{"type": "text", "text": text} for text in texts]
    result: JSONObject = {"content": content, "isError": is_error}
    return result if structured is None else {**result, "structuredContent": dict(structured)}
