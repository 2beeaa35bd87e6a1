"""python socket_room.py ws://127.0.0.1:7071/api/v1/chat/sessions/<id>/websocket "Hello, everybody!" """

import json
import sys

from websockets.sync.client import connect

url, content = sys.argv[1:]
with connect(url) as websocket:
    websocket.send(json.dumps({"type": "send_message", "content": content}))
    for text in websocket:
        frame = json.loads(text)
        if frame["type"] == "message_update" and frame["action"] == "completed":
            print(frame["message"]["content"])
            break
