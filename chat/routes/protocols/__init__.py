"""The routes of protocols that others made, a file for each: rows of the table in `function_app.py`."""

from chat.routes.protocols import ai_chat, ai_sdk, openai
from chat.routes.route_table import Routes

PROTOCOLS: Routes = {**openai.ROUTES, **ai_sdk.ROUTES, **ai_chat.ROUTES}
