"""The protocols by which a model service can be asked, one row each: its route, its request and its replies."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from chat.events import JSONObject
from chat.providers.base import ModelRequest
from chat.providers.chat_completions import ChunkReader
from chat.providers.chat_request import request_body
from chat.providers.reply_stream import ReplyReader
from chat.providers.responses import ResponsesReader
from chat.providers.responses_request import responses_body


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a request asks for beside an answer. Services differ in what they take."""

    usage: bool = True  # by chat completions; Responses always have it
    summary: str = ""  # of the model's reasoning, by Responses


@dataclass(frozen=True, slots=True)
class ModelProtocol:
    """One protocol. `body` is given the request, the model's name ("" when the URL says it) and the wishes; `reader`
    who answers as far as we know."""

    path: str  # behind the base of the endpoint
    body: Callable[[ModelRequest, str, Wishes], JSONObject]
    reader: Callable[[str], ReplyReader]


def _chat_body(request: ModelRequest, model: str, wishes: Wishes) -> JSONObject:
    return request_body(request, model, include_usage=wishes.usage)


def _responses_body(request: ModelRequest, model: str, wishes: Wishes) -> JSONObject:
    return responses_body(request, model, summary=wishes.summary)


def _agent_body(request: ModelRequest, model: str, wishes: Wishes) -> JSONObject:
    """An agent has its own tools: served by MLflow it refuses a request that brings others."""
    return responses_body(request, model, offer_tools=False)


MODEL_PROTOCOLS: Mapping[str, ModelProtocol] = {
    "chat": ModelProtocol("/chat/completions", _chat_body, ChunkReader),
    "responses": ModelProtocol("/responses", _responses_body, ResponsesReader),
    "agent": ModelProtocol("/responses", _agent_body, partial(ResponsesReader, agent=True)),
}
"""By the names that the settings have for them."""
