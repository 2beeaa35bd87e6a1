"""OpenAI's protocols (docs/protocols.md)."""

from functools import partial

from chat.routes.route_table import Route, Routes

MODELS = partial(Route, refuses="completions")

ROUTES: Routes = {
    "/api/openai/v1/chat/completions": {
        "POST": Route(
            "doors:enter",
            "ask, as OpenAI's clients do",
            again="doors:enter_again",
            dialect="completions",
            streams=True,
            name="chat_completions",
        ),
    },
    "/api/openai/v1/models": {
        "GET": MODELS("models:list_models", "the models that answer", reply="model_schemas:Models"),
    },
    "/api/openai/v1/models/{model_id}": {
        "GET": MODELS("models:get_model", "one of them", reply="model_schemas:Model", problems=(404,)),
    },
}
