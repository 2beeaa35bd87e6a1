"""The routes of protocols that others made, a file for each: rows of the table in `function_app.py`."""

from chat.routes.protocols import ag_ui, ai_chat, ai_sdk, durable_streams, mcp, openai, openai_responses
from chat.routes.route_table import Routes

PROTOCOLS: Routes = {
    **openai.ROUTES,
    **openai_responses.ROUTES,
    **ai_sdk.ROUTES,
    **ag_ui.ROUTES,
    **ai_chat.ROUTES,
    **mcp.ROUTES,
    **durable_streams.ROUTES,
}
