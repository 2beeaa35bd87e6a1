"""Chats over a WebSocket: `python examples/ws_chat.py --dialect plan "plan a 3 day trip to Tokyo and Kyoto"`.

A WebSocket cannot open at a function's own address, so there are two calls: negotiate, then connect. Needs
`pip install websockets`, and nothing of Parley.
"""

import argparse
import asyncio
import json
import sys
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

# Where each dialect negotiates, what a message looks like, and which frame is the last one.
PATHS = {"chat": "/ws", "plan": "/ws/chat", "session": "/ws?dialect=session"}
MESSAGES = {
    "chat": lambda text: {"type": "chat", "payload": {"text": text}},
    "plan": lambda text: {"message": text},
    "session": lambda text: {"type": "send_message", "content": text},
}
LAST = ("done", "error", "chat_error", "completed", "failed", "cancelled")


def negotiate(base: str, dialect: str) -> str:
    with urllib.request.urlopen(base + PATHS[dialect]) as reply:
        return json.load(reply)["url"]


async def chat(url: str, dialect: str, text: str) -> None:
    async with connect(url) as socket:
        await socket.send(json.dumps(MESSAGES[dialect](text)))
        async for message in socket:
            frame = json.loads(message)
            show(frame)
            if is_last(frame):
                return


def show(frame: dict[str, Any]) -> None:
    match frame:
        case {"type": "chat_chunk", "payload": {"text": text}} | {"type": "message_delta", "delta": text}:
            print(text, end="", flush=True)
        case {"type": "intents" | "poi" | "requirements" | "plan", "data": data}:
            print(f"{frame['type']}: {json.dumps(data, ensure_ascii=False)}")
        case {"type": "progress", "percent": percent}:
            print(f"{percent} %")
        case {"type": "chat_error" | "error"}:
            print(frame)
        case _:
            pass


def is_last(frame: dict[str, Any]) -> bool:
    done = frame.get("payload", {}).get("done") or frame["type"] in LAST or frame.get("action") in LAST
    if done:
        print()
    return bool(done)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("text", nargs="?", default="Hello, AI!")
    parser.add_argument("--url", default="http://127.0.0.1:7071")
    parser.add_argument("--dialect", choices=PATHS, default="chat")
    given = parser.parse_args()
    try:
        asyncio.run(chat(negotiate(given.url, given.dialect), given.dialect, given.text))
    except urllib.error.HTTPError as error:
        sys.exit(f"{given.url} answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except (OSError, ValueError, HTTPException, WebSocketException) as error:
        sys.exit(f"No chat at {given.url} ({error}). Is the stack running? `make run` starts it.")
    except KeyboardInterrupt:
        pass
