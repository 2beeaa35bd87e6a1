"""OpenAI's Responses API (docs/protocols.md)."""

from functools import partial

from chat.routes.route_table import Route, Routes

PAST = partial(Route, dialect="responses")

ROUTES: Routes = {
    "/api/openai/v1/responses": {
        "POST": Route(
            "doors:enter",
            "ask, as OpenAI's newer clients do",
            again="doors:enter_again",
            dialect="responses",
            streams=True,
            name="create_response",
        ),
    },
    "/api/openai/v1/responses/{response_id}": {
        "GET": PAST(
            "past_responses:get_response",
            "how a response stands, or its events",
            role="viewer",
            query="response_queries:ResponseQuery",
            streams=True,
            problems=(410,),
        ),
        "DELETE": PAST(
            "past_responses:delete_response",
            "delete it",
            role="editor",
            scope="manage",
            reply="response_queries:ResponseDeleted",
            problems=(409,),
        ),
    },
    "/api/openai/v1/responses/{response_id}/cancel": {
        "POST": PAST(
            "past_responses:cancel_response",
            "stop it",
            role="editor",
            reply="response_queries:ResponseObject",
        ),
    },
    "/api/openai/v1/responses/{response_id}/input_items": {
        "GET": PAST(
            "past_responses:list_input_items",
            "what its request brought",
            role="viewer",
            query="response_queries:ItemsQuery",
            reply="response_queries:ResponseItems",
        ),
    },
}
