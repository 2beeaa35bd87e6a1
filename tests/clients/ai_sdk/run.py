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


@dataclass
class Played:
    """What a page came to."""

    messages: list[Any]
    statuses: list[str]
    errors: list[str]
    data: list[Any]
    calls: list[str]
    finished: list[Any]
    requests: list[str]
    chunks: int = 0

    @property
    def text(self) -> str:
        """Of the last message."""
        return text_of(self.messages[-1])

    @property
    def roles(self) -> list[str]:
        return [each["role"] for each in self.messages]

    def parts(self, kind: str) -> list[Any]:
        """Of the last message."""
        return [each for each in self.messages[-1]["parts"] if each["type"] == kind]


async def play(url: str, chat_id: str, *steps: Any, **asked: Any) -> Played:
    """A page that does one step after the other."""
    return Played(**await run("chat.mjs", api=f"{url}/api/chat", id=chat_id, steps=steps, **asked))
