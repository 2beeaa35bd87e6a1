"""Short words for what the tests of OpenAI's clients do."""

import json
from collections.abc import Iterable
from typing import Any

from openai import AsyncOpenAI, AsyncStream
from openai.types.responses import Response, ResponseStreamEvent

MODEL = "default"
API = "/api/openai/v1"
TOOL: Any = {
    "type": "function",
    "name": "paint",
    "description": "Paints a wall.",
    "parameters": {"type": "object", "properties": {"colour": {"type": "string"}}},
}
PAINT = '#tool=paint{"colour":"red"}'


def seen_by_model(response: Response) -> list[tuple[str, str]]:
    """Of a question with `#echo`: the messages that the model was shown, without what it is told."""
    messages = json.loads(response.output_text)["messages"]
    return [(each["role"], each["content"]) for each in messages if each["role"] != "system"]


def client_of(url: str, **headers: str) -> AsyncOpenAI:
    """One that asks once."""
    return AsyncOpenAI(base_url=url + API, api_key="none", max_retries=0, default_headers=headers)


async def ask(client: AsyncOpenAI, text: Any, **more: Any) -> Response:
    return await client.responses.create(model=MODEL, input=text, **more)


async def stream(client: AsyncOpenAI, text: Any, **more: Any) -> AsyncStream[ResponseStreamEvent]:
    return await client.responses.create(model=MODEL, input=text, stream=True, **more)


async def rest_of(
    client: AsyncOpenAI, response_id: str, after: int | None = None
) -> list[ResponseStreamEvent]:
    """All events from there on."""
    place: Any = {} if after is None else {"starting_after": after}
    async with await client.responses.retrieve(response_id, stream=True, **place) as events:
        return [each async for each in events]


def text_of(events: Iterable[ResponseStreamEvent]) -> str:
    """Of the deltas."""
    return "".join(each.delta for each in events if each.type == "response.output_text.delta")


def numbers(events: Iterable[ResponseStreamEvent]) -> list[int]:
    return [each.sequence_number for each in events]


def response_of(event: ResponseStreamEvent) -> Response:
    """What the last event shows."""
    assert event.type in ("response.completed", "response.incomplete", "response.failed"), event.type
    return event.response


def dumped(events: Iterable[ResponseStreamEvent]) -> list[Any]:
    return [each.model_dump() for each in events]
