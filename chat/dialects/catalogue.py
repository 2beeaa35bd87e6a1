"""All dialects there are: to add one is a line here."""

from collections.abc import Mapping

from chat.dialects.ag_ui import AG_UI
from chat.dialects.ai_chat import AI_CHAT
from chat.dialects.ai_sdk import AI_SDK
from chat.dialects.base import Dialect
from chat.dialects.chat import CHAT
from chat.dialects.completions import COMPLETIONS
from chat.dialects.delta import DELTA
from chat.dialects.mcp import MCP
from chat.dialects.plan import PLAN
from chat.dialects.responses import RESPONSES
from chat.dialects.session import SESSION
from chat.requests import TRIP

DIALECTS: Mapping[str, Dialect] = {
    each.name: each
    for each in (DELTA, CHAT, PLAN, SESSION, COMPLETIONS, RESPONSES, AI_SDK, AG_UI, AI_CHAT, MCP)
}
USUAL: Mapping[str, str] = {"": DELTA.name, TRIP: PLAN.name}
"""By pipeline, the dialect of a stream whose caller names none."""
