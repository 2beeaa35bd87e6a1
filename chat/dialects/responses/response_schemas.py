"""The response and the events of its stream as models: what all of them have; what else each has, OpenAI's reference
says."""

from typing import Literal

from pydantic import ConfigDict

from chat.dialects.shape_schemas import Shown
from chat.events import JSON, JSONObject

type Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class ResponseObject(Shown):
    """https://platform.openai.com/docs/api-reference/responses/object"""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["response"]
    created_at: int
    status: Status
    model: str
    output: list[JSONObject]
    error: JSONObject | None
    incomplete_details: JSONObject | None
    usage: JSONObject | None
    metadata: dict[str, str]
    tools: list[JSONObject]
    tool_choice: JSON
    parallel_tool_calls: bool
    previous_response_id: str | None
    store: bool


class ResponsesFrame(Shown):
    """https://platform.openai.com/docs/api-reference/responses-streaming"""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int
    response: ResponseObject | None = None


class OpenAIError(Shown):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIRefusal(Shown):
    """What is refused."""

    error: OpenAIError


OUT = ResponsesFrame
REFUSED = OpenAIRefusal
