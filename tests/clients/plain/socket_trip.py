"""python socket_trip.py ws://127.0.0.1:7071/ws/chat "plan a 3 day trip to Tokyo" """

import asyncio
import json
import sys

import websockets


async def main(url: str, message: str) -> None:
    state = {"pois": [], "requirements": [], "plan": []}
    async with websockets.connect(url) as websocket:
        await websocket.send(json.dumps({"message": message, **state}))
        while (frame := json.loads(await websocket.recv()))["type"] not in ("done", "error"):
            if frame["type"] in state:
                state[frame["type"]] = frame["data"]
    print(json.dumps(state))


asyncio.run(main(*sys.argv[1:]))
