"""The routes of protocols that others made, a file for each: rows of the table in `function_app.py`."""

from chat.routes.protocols import mcp
from chat.routes.route_table import Routes

PROTOCOLS: Routes = {**mcp.ROUTES}
