"""Asks, and prints what comes: python stream.py http://127.0.0.1:7071/api/chat/stream "Hello" """

import json
import sys
import urllib.error
import urllib.request


def ask(url: str, text: str) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": text, "timestamp": None}]})
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json"})
    try:
        reply = urllib.request.urlopen(request)
    except urllib.error.HTTPError as error:
        reply = error
    print("status", reply.status)
    for block in reply.read().decode().split("\n\n"):
        if not block.startswith("data: "):
            continue
        data = block[len("data: ") :]
        if data == "[DONE]":
            print("done")
            break
        event = json.loads(data)
        if event["type"] == "text.delta":
            print("text", event["delta"])
        elif event["type"] == "error":
            print("error", event["code"], event["message"])


if __name__ == "__main__":
    ask(*sys.argv[1:])
