"""python socket_chat.py ws://127.0.0.1:7071/ws "Hello, AI!" """

import asyncio
import json
import sys

import websockets


async def main(url: str, text: str) -> None:
    async with websockets.connect(url) as websocket:
        await websocket.send(json.dumps({"type": "chat", "payload": {"text": text}}))
        async for message in websocket:
            frame = json.loads(message)
            if frame["type"] == "chat_error":
                sys.exit(frame["payload"]["error"])
            if frame["type"] == "chat_chunk":
                print(frame["payload"]["text"], end="", flush=True)
                if frame["payload"]["done"]:
                    break


asyncio.run(main(*sys.argv[1:]))
