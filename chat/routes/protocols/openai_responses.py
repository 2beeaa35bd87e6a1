"""OpenAI's Responses API."""

from functools import partial

from chat.routes.route_table import Route, Routes

PAST = partial(Route, refuses="responses")

ROUTES: Routes = {
    "/api/openai/v1/responses": {
        "POST": Route(
            "doors:enter",
            "ask, in OpenAI's Responses API",
            again="doors:enter_again",
            dialect="responses",
            reply="response_queries:ResponseObject",
            name="create_response",
        ),
    },
    "/api/openai/v1/responses/{response_id}": {
        "GET": PAST(
            "responses:get_response",
            "a response by its id, or its events",
            role="viewer",
            query="response_queries:ResponseQuery",
            reply="response_queries:ResponseObject",
        ),
        "DELETE": PAST(
            "responses:delete_response",
            "delete it",
            role="editor",
            scope="manage",
            reply="response_queries:ResponseDeleted",
            problems=(409,),
        ),
    },
    "/api/openai/v1/responses/{response_id}/cancel": {
        "POST": PAST(
            "responses:cancel_response",
            "stop it",
            role="editor",
            reply="response_queries:ResponseObject",
        ),
    },
    "/api/openai/v1/responses/{response_id}/input_items": {
        "GET": PAST(
            "responses:list_input_items",
            "what its request brought",
            role="viewer",
            query="response_queries:ItemsQuery",
            reply="response_queries:ResponseItems",
        ),
    },
}
