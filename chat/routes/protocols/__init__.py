"""The routes of protocols that others made, a file for each: rows of the table in `function_app.py`."""

from chat.routes.protocols import ag_ui, ai_chat, openai, openai_responses
from chat.routes.route_table import Routes

PROTOCOLS: Routes = {**openai.ROUTES, **openai_responses.ROUTES, **ag_ui.ROUTES, **ai_chat.ROUTES}
