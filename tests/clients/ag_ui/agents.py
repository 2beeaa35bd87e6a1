"""Runs of AG-UI's own client, and of requests as others write them."""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ag_ui.core import Event
from pydantic import TypeAdapter

from tests.support.clients import ChatClient, Frame
from tests.support.node import run_script

HERE = Path(__file__).parent
PATH = "/api/ag-ui"
EVENT: TypeAdapter[Any] = TypeAdapter(Event)


@dataclass(frozen=True)
class Run:
    """What the client was told in a run."""

    events: list[Any]
    error: Any

    @property
    def kinds(self) -> list[str]:
        return [each["type"] for each in self.events]

    @property
    def text(self) -> str:
        return "".join(each["delta"] for each in self.events if each["type"] == "TEXT_MESSAGE_CONTENT")

    @property
    def outcome(self) -> Any:
        """Of a run that ended well."""
        assert self.error is None, self.error
        return self.events[-1]["outcome"]

    @property
    def turn_id(self) -> str:
        return self.events[0]["metadata"]["turnId"]

    @property
    def session_id(self) -> str:
        return self.events[0]["metadata"]["sessionId"]


@dataclass(frozen=True)
class Agent:
    """What the client has after its runs."""

    runs: list[Run]
    messages: list[Any]
    state: Any
    pending: list[Any]

    @property
    def roles(self) -> list[str]:
        return [each["role"] for each in self.messages]


async def run_agent(url: str, *runs: Mapping[str, Any], **config: Any) -> Agent:
    """By `@ag-ui/client`: each run as `agent.mjs` has it. Every event is held against the package for Python, too."""
    config.setdefault("threadId", uuid.uuid4().hex)
    printed = await run_script(HERE / "agent.mjs", url + PATH, json.dumps({"runs": runs, **config}))
    found = json.loads(printed.splitlines()[-1])
    for run in found["runs"]:
        for each in run["events"]:
            EVENT.validate_python(each)
    return Agent(**{**found, "runs": [Run(**each) for each in found["runs"]]})


async def run_tanstack(url: str, **given: Any) -> Any:
    """By `@tanstack/ai-client`, as `tanstack.mjs` has it."""
    given.setdefault("threadId", uuid.uuid4().hex)
    printed = await run_script(HERE / "tanstack.mjs", url + PATH, json.dumps(given))
    return json.loads(printed.splitlines()[-1])


def body(thread: str, run: str, *said: Any, **more: Any) -> dict[str, Any]:
    """A request with these messages; a text is the user's."""
    messages = [
        {"id": str(place), "role": "user", "content": each} if isinstance(each, str) else each
        for place, each in enumerate(said)
    ]
    return {"threadId": thread, "runId": run, "messages": messages, **more}


async def post(client: ChatClient, asked: Mapping[str, Any], **headers: str) -> list[Frame]:
    """All frames of the reply."""
    async with client.open("POST", PATH, json=asked, headers=headers) as stream:
        return checked(await stream.read())


def checked(frames: Sequence[Frame]) -> list[Frame]:
    for each in frames:
        EVENT.validate_json(each.data)
        assert "null" not in {str(value) for value in each.payload.values()}
    return [*frames]


def text_of(frames: Sequence[Frame]) -> str:
    return Run([each.payload for each in frames], None).text


async def is_running(client: ChatClient, thread: str) -> bool:
    """Whether a run goes on in a thread."""
    reply = await client.call("GET", f"{PATH}?threadId={thread}")
    return reply.body["activeRun"] is not None


async def until_it_runs(client: ChatClient, thread: str) -> None:
    async with asyncio.timeout(20):
        while not await is_running(client, thread):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
