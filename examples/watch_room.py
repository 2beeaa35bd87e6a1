"""Watches a session's room until an answer is complete: `python examples/watch_room.py APP SESSION TOKEN`.

A socket in one call: the session stands in its path, the token in its query. Needs `pip install websockets`, and
nothing of Parley.
"""

import argparse
import asyncio
import json

from websockets.asyncio.client import connect


async def watch(app: str, session: str, token: str) -> None:
    address = f"{app.replace('http', 'ws', 1)}/api/v1/chat/sessions/{session}/websocket?token={token}"
    async with connect(address) as socket:
        async for text in socket:
            frame = json.loads(text)
            if frame["type"] == "connection_established":
                print("watching, with", ", ".join(each["user_id"] for each in frame["members"]), flush=True)
            elif frame["type"] == "message_update":
                message = frame["message"]
                print(f"{frame['action']}: {message['role']}: {message['content']}", flush=True)
                if frame["action"] == "completed":
                    return


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Watch a room until an answer is complete.")
    for name, meaning in (("app", "http://127.0.0.1:7071"), ("session", "its id"), ("token", "of a member")):
        parser.add_argument(name, help=meaning)
    asyncio.run(watch(**vars(parser.parse_args())))
