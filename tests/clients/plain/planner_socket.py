"""A trip planner in a terminal: each message goes with what the planner said last, over one WebSocket.

python planner_socket.py http://127.0.0.1:7071
"""

import asyncio
import json
import sys
import urllib.request

from websockets.asyncio.client import connect


async def main(url):
    async with connect(url) as socket:
        state = {"pois": [], "requirements": [], "plan": []}

        async def say(message):
            await socket.send(json.dumps({"message": message, **state}))
            said, single = {}, []
            async for text in socket:
                frame = json.loads(text)
                if frame["type"] == "error":
                    sys.exit(frame["message"])
                if frame["type"] == "done":
                    break
                if frame["type"] == "poi":
                    single.append(frame["data"])
                said[frame["type"]] = frame.get("data")
            before = dict(state)
            state.update({name: said[name] for name in state})
            assert all(poi in state["pois"] for poi in single), "what was found is in the list"
            return before, single

        def days():
            return state["plan"][0]["days"]

        _, found = await say("plan 3 days in Tokyo")
        assert found == state["pois"] and len(days()) == 3

        before, found = await say("add a museum")
        assert [poi["kind"] for poi in found] == ["museum"]
        assert state["pois"] == before["pois"] + found

        before, found = await say("make day 2 vegetarian")
        assert found == [] and state["pois"] == before["pois"]
        assert "vegetarian" in state["requirements"][-1]["description"].lower()
        assert days()[1] != before["plan"][0]["days"][1]
        assert [days()[0], days()[2]] == [before["plan"][0]["days"][0], before["plan"][0]["days"][2]]

        before, _ = await say("remove the requirement")
        assert state["requirements"] == before["requirements"][:-1]
        assert state["pois"] == before["pois"]

        before, _ = await say("thank you!")
        assert state == before
        print("ok")


with urllib.request.urlopen(f"{sys.argv[1]}/ws/chat") as reply:
    asyncio.run(main(json.load(reply)["url"]))
