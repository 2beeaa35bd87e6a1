"""OpenAI's object `response` as a model: what it is made of says `dialects/responses/`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from chat.events import JSON, JSONObject

type Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]


class ResponseObject(BaseModel):
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
