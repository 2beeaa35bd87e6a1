"""Responses in an app in memory: when their events are gone, when requests overtake each other, in sessions that were
changed."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from chat.clock import SystemClock
from chat.providers.base import ReasoningPiece, ToolCallPiece
from chat.providers.scripted import Script
from tests.support.apps import make_app
from tests.support.http_instance import Instance

RESPONSES = "/api/openai/v1/responses"
TOOL = {"type": "function", "name": "paint"}
CALL = [ToolCallPiece(0, "c1", "paint", "{}")]


class Here(Instance):
    def __init__(self, *scripts: Script, **settings: str) -> None:
        self.made = make_app(*(scripts or (["Hello"],)), settings=settings)
        super().__init__(self.made.app)

    async def ask(self, text: Any, **more: Any) -> Any:
        return (await self.call("POST", RESPONSES, {"input": text, **more})).json

    async def purge(self) -> None:
        await self.made.wait_for_turns()
        await self.app.turns.purge_events(ended_before=SystemClock().now() + timedelta(days=1))

    async def look(self, response_id: str, rest: str = "") -> Any:
        return (await self.call("GET", f"{RESPONSES}/{response_id}{rest}")).json

    @property
    def shown(self) -> Sequence[tuple[str, str]]:
        """What the model was shown last."""
        messages = self.made.provider.requests[-1].messages
        return [(each.role, each.content) for each in messages if each.role != "system"]


async def test_when_its_events_are_gone_its_message_tells_of_it() -> None:
    here = Here([ReasoningPiece("hm"), "Hel", "lo"])
    asked = await here.ask("Hi")
    await here.purge()
    kept = await here.look(asked["id"])
    [said] = kept["output"]
    assert (kept["status"], said["content"][0]["text"]) == ("completed", "Hello")
    names = ("id", "model", "usage", "created_at", "metadata")
    assert {name: kept[name] for name in names} == {name: asked[name] for name in names}
    gone = await here.call("GET", f"{RESPONSES}/{asked['id']}?stream=true")
    assert (gone.status, gone.json["error"]["code"]) == (410, "events_gone")
    assert (await here.ask("On?", previous_response_id=asked["id"]))["status"] == "completed"
    assert here.shown == [("user", "Hi"), ("assistant", "Hello"), ("user", "On?")]


async def test_calls_are_told_by_the_message_too() -> None:
    here = Here(CALL, ["Done"])
    asked = await here.ask("Hi", tools=[TOOL])
    output = {"type": "function_call_output", "call_id": "c1", "output": "red"}
    done = await here.ask([output], previous_response_id=asked["id"], tools=[TOOL])
    await here.purge()
    for response in (asked, done):
        kept = await here.look(response["id"])
        assert [each["type"] for each in kept["output"]] == [each["type"] for each in response["output"]]
    items = (await here.look(done["id"], "/input_items"))["data"]
    assert [(each["type"], each["output"]) for each in items] == [("function_call_output", "red")]


async def test_of_two_that_follow_one_answer_at_the_same_moment_each_sees_it_alone() -> None:
    gate = asyncio.Event()
    here = Here(["One"], [gate, "Two"], [gate, "Three"])
    first = await here.ask("Hi")
    both = [asyncio.create_task(here.ask(text, previous_response_id=first["id"])) for text in ("a", "b")]
    async with asyncio.timeout(5):
        while here.made.app.runner.running < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    gate.set()
    responses = await asyncio.gather(*both)
    sessions = {each["id"].rpartition("-")[0] for each in (first, *responses)}
    assert len(sessions) == 2
    shown = {request.messages[-1].content: request.messages[1:-1] for request in here.made.provider.requests}
    assert [each.content for each in shown["a"]] == [each.content for each in shown["b"]] == ["Hi", "One"]


async def test_what_was_posted_since_is_not_part_of_the_branch() -> None:
    here = Here(["One"], ["Two"])
    first = await here.ask("Hi")
    session = first["id"].removeprefix("resp_").rpartition("-")[0]
    path = f"/api/v1/chat/sessions/{session}/messages"
    await here.call("POST", path, {"role": "user", "content": "beside"})
    on = await here.ask("And?", previous_response_id=first["id"])
    assert here.shown == [("user", "Hi"), ("assistant", "One"), ("user", "And?")]
    assert not on["id"].startswith(f"resp_{session}")


async def test_a_branch_has_the_settings_of_its_session() -> None:
    here = Here(["One"], ["Two"], ["Three"])
    first = await here.ask("Hi")
    session = first["id"].removeprefix("resp_").rpartition("-")[0]
    settings = {"system_prompt": "Be kind.", "temperature": 0.5}
    await here.call("PUT", f"/api/v1/chat/sessions/{session}", {"settings": settings})
    await here.ask("On", previous_response_id=first["id"])
    await here.ask("Branch", previous_response_id=first["id"])
    asked = here.made.provider.requests[-1]
    assert (asked.messages[0].content, asked.temperature) == ("Be kind.", 0.5)


async def test_in_a_busy_app_that_queues_a_request_that_follows_does_not_wait() -> None:
    gate = asyncio.Event()
    here = Here(["One"], [gate, "Two"], ["Three"], CHAT_BUSY="queue")
    first = await here.ask("Hi")
    second = await here.ask("a", previous_response_id=first["id"], background=True)
    third = await here.ask("b", previous_response_id=first["id"])
    assert second["status"] in ("queued", "in_progress")
    assert third["status"] == "completed"
    gate.set()
    await here.made.wait_for_turns()


async def test_a_refused_request_leaves_nothing() -> None:
    here = Here(["One"])
    for body in (
        {"input": "Hi", "previous_response_id": "resp_none"},
        {"input": "Hi", "tools": [{"type": "mcp"}]},
    ):
        assert (await here.call("POST", RESPONSES, body)).status in (400, 404)
    assert (await here.call("GET", "/api/v1/chat/sessions")).json["sessions"] == []
