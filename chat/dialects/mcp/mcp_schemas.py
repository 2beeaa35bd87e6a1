"""What clients of the Model Context Protocol are told, as models."""

from typing import Any, Literal

from pydantic import Field, RootModel

from chat.dialects.shape_schemas import Shown


class McpProgress(Shown):
    """A notification while a turn runs."""

    jsonrpc: Literal["2.0"]
    method: Literal["notifications/progress"]
    params: dict[str, Any]


class McpResult(Shown):
    """The end of a turn, as the answer to the request that waits for it."""

    jsonrpc: Literal["2.0"]
    id: str | int
    result: dict[str, Any]


class McpFrame(RootModel[McpProgress | McpResult]):
    """One message of a stream."""


class RpcFailure(Shown):
    """What went wrong; `data.code` is the code of an error of ours."""

    code: int
    message: str
    data: dict[str, Any] = Field(default_factory=dict[str, Any])


class McpRefusal(Shown):
    """What is refused before anybody knows which request it is."""

    jsonrpc: Literal["2.0"]
    id: None
    error: RpcFailure


OUT = McpFrame
REFUSED = McpRefusal
