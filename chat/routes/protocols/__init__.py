"""The routes of protocols that others made, a file for each: rows of the table in `function_app.py`."""

from chat.routes.protocols import ai_chat, durable_streams, openai, openai_responses
from chat.routes.route_table import Routes

PROTOCOLS: Routes = {
    **openai.ROUTES,
    **openai_responses.ROUTES,
    **ai_chat.ROUTES,
    **durable_streams.ROUTES,
}
