"""The Model Context Protocol: https://modelcontextprotocol.io."""

from functools import partial

from chat.routes.route_table import Route, Routes

METADATA = partial(
    Route,
    "mcp_exchange:show_metadata",
    "where clients of `/api/mcp` sign in",
    who="anyone",
    refuses="mcp",
    reply="mcp_models:ResourceMetadata",
    problems=(404,),
)

ROUTES: Routes = {
    "/api/mcp": {
        "POST": Route(
            "mcp_exchange:exchange",
            "one message of the Model Context Protocol",
            body="mcp_models:McpMessage",
            reply="mcp_models:McpAnswer",
            kinds=("text/event-stream",),
            silent=(202,),
            problems=(404,),
            scope="read",
            makes=True,
            refuses="mcp",
        ),
    },
    "/.well-known/oauth-protected-resource/api/mcp": {"GET": METADATA()},
    "/.well-known/oauth-protected-resource": {"GET": METADATA(name="show_metadata_of_host")},
}
