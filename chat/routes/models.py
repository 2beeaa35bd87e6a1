"""The models that may be named in a request, as OpenAI lists them."""

from fastapi import Request, Response

from chat.app import ChatApp
from chat.asking.asks import known_models
from chat.auth.base import Principal
from chat.errors import NotFound
from chat.events import JSON, JSONObject
from chat.routes.replies import json_reply


async def list_models(app: ChatApp, _principal: Principal, _request: Request) -> Response:
    """`GET /api/openai/v1/models`: those of the services that are configured. Another name is answered by the first."""
    data: list[JSON] = [_shown(name, provider) for name, provider in known_models(app.settings).items()]
    return json_reply({"object": "list", "data": data})


async def get_model(app: ChatApp, _principal: Principal, request: Request) -> Response:
    """`GET /api/openai/v1/models/{model_id}`: one of them."""
    segment = request.path_params["model_id"]  # as the host gives it: decoded but for slashes
    name = segment.replace("%2F", "/").replace("%2f", "/")
    provider = known_models(app.settings).get(name)
    if provider is None:
        raise NotFound("There is no such model.")
    return json_reply(_shown(name, provider))


def _shown(name: str, provider: str) -> JSONObject:
    return {"id": name, "object": "model", "created": 0, "owned_by": provider.lower()}
