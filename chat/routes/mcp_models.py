"""The models of `/api/mcp` and of what tells its clients where to sign in."""

from typing import Any, Literal

from pydantic import Field

from chat.dialects.shape_schemas import Shown
from chat.schemas.mcp_bodies import McpMessage as McpMessage


class McpAnswer(Shown):
    """The answer to a request: it has `result`, or `error` with `code` and `message`."""

    jsonrpc: Literal["2.0"]
    id: str | int
    result: dict[str, Any] = Field(default_factory=dict[str, Any])
    error: dict[str, Any] = Field(default_factory=dict[str, Any])


class ResourceMetadata(Shown):
    """Of RFC 9728: the route that it is about, and the issuers of its tokens."""

    resource: str
    resource_name: str
    authorization_servers: list[str] = Field(min_length=1)
    bearer_methods_supported: list[str]
