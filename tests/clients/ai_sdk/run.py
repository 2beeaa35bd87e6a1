"""Runs the clients of the AI SDK."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.node import run_script

HERE = Path(__file__).parent
VERSIONS = ("ai", "ai6")


@dataclass
class Found:
    """What a client made of a stream."""

    chunks: list[Any] = field(default_factory=list[Any])
    message: Any = None
    error: str | None = None
    status: int | None = None
    resumed: int = 0

    @property
    def text(self) -> str:
        return text_of(self.message)

    @property
    def kinds(self) -> list[str]:
        return [each["type"] for each in self.chunks]

    @property
    def turn_id(self) -> str:
        return self.message["metadata"]["turnId"]


def text_of(message: Any) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "mine", "role": "user", "parts": [{"type": "text", "text": text}], **more}


async def run(script: str, **asked: Any) -> Any:
    """What the script says of what it is asked."""
    printed = await run_script(HERE / script, json.dumps(asked))
    return json.loads(printed.splitlines()[-1])


async def send(url: str, text: Any, **asked: Any) -> Found:
    """One message over a transport for HTTP."""
    messages = [user(text)] if isinstance(text, str) else text
    return Found(**await run("transport.mjs", api=f"{url}/api/chat", messages=messages, **asked))
