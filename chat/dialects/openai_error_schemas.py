"""Errors as OpenAI's clients read them, as models."""

from chat.dialects.shape_schemas import Shown


class OpenAIErrorDetails(Shown):
    """`code` is one of docs/errors.md in lower case, `param` the field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(Shown):
    """Every reply that is no success, and the last frame of a stream that failed."""

    error: OpenAIErrorDetails
