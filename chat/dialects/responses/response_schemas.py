"""The events of a stream of a response as models: what all of them have; OpenAI's reference says what else each has."""

from pydantic import ConfigDict

from chat.dialects.openai_error_schemas import OpenAIError
from chat.dialects.shape_schemas import Shown
from chat.schemas.openai_response import ResponseObject


class ResponsesFrame(Shown):
    """https://platform.openai.com/docs/api-reference/responses-streaming"""

    model_config = ConfigDict(extra="allow")

    type: str
    sequence_number: int
    response: ResponseObject | None = None


OUT = ResponsesFrame
WHOLE = ResponseObject
REFUSED = OpenAIError
