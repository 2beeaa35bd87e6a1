"""Short builders for the tests of the HTTP edge."""

import json
from typing import Any

from tests.support.clients import ChatClient


def answering(text: str) -> str:
    """A message that the model answers with `text`."""
    return f"#text={json.dumps(text, ensure_ascii=False)}"


async def listed(client: ChatClient, session_id: str, query: str = "") -> Any:
    reply = await client.call("GET", f"/api/v1/chat/sessions/{session_id}/messages{query}")
    assert reply.status == 200, reply
    return reply.body
