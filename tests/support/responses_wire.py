"""Events of the Responses protocol, and what its reader makes of a list of them."""

import json
from collections.abc import Sequence
from typing import Any

from chat.providers.base import ModelChosen, ModelDelta
from chat.providers.responses import ResponsesReader
from tests.support.wires import response

type Events = Sequence[dict[str, Any]]

CREATED = {"type": "response.created", "response": response(status="in_progress")}
COMPLETED = {"type": "response.completed", "response": response()}
MCP = {"type": "mcp_call", "id": "mcp_1", "name": "read.wiki", "server_label": "wiki"}


def text(delta: str, **more: object) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "item_id": "__fake_id__", "delta": delta, **more}


def added(item: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def done(item: dict[str, Any], place: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def function(name: str, call_id: str, arguments: str = "", **more: object) -> dict[str, Any]:
    call = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id}
    return {**call, "name": name, "arguments": arguments, **more}


def arguments(call_id: str, delta: str, place: int = 0) -> dict[str, Any]:
    kind = "response.function_call_arguments.delta"
    return {"type": kind, "item_id": f"fc_{call_id}", "output_index": place, "delta": delta}


def output(call_id: str, said: object) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": said}


def completed(prompt: int, completion: int, **more: object) -> dict[str, Any]:
    usage = {"input_tokens": prompt, "output_tokens": completion}
    return {"type": "response.completed", "response": response(usage=usage, **more)}


def deltas(events: Events, *, agent: bool = False) -> list[ModelDelta]:
    reader = ResponsesReader("asked", agent=agent)
    said = [delta for each in events for delta in reader.read(json.dumps(each).encode())]
    return [*said, *reader.finish()]


def said(events: Events, *, agent: bool = False) -> list[ModelDelta]:
    """Without who answers."""
    first, *others = deltas(events, agent=agent)
    assert isinstance(first, ModelChosen)
    return others
