"""Shows a chat session as it goes on: python room.py http://127.0.0.1:7071 SESSION_ID"""

import asyncio
import json
import sys
import urllib.request
from datetime import datetime
from typing import Any

from pydantic import BaseModel
from websockets.asyncio.client import connect


class ChatMessage(BaseModel):
    id: str
    session_id: str
    role: str
    content: str
    created_at: datetime
    updated_at: datetime
    is_streaming: bool
    llm_provider: str | None
    llm_model: str | None
    response_time_ms: int | None
    tokens_used: int
    error_message: str | None
    metadata: dict[str, Any]


async def show(url: str) -> None:
    async with connect(url) as websocket:
        async for text in websocket:
            data = json.loads(text)
            if data["type"] == "message_update":
                print(data["message"]["content"], flush=True)
                ChatMessage(**data["message"])


if __name__ == "__main__":
    base, session_id = sys.argv[1:]
    with urllib.request.urlopen(f"{base}/api/v1/chat/sessions/{session_id}/websocket") as reply:
        asyncio.run(show(json.load(reply)["url"]))
