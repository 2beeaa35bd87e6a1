"""The same replies as services write them in each protocol, so that one test can ask for both."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.support import model_service as chat
from tests.support.model_service import DONE, frame


def event(kind: str, **more: object) -> bytes:
    """One event of the Responses protocol, named twice as services do."""
    return f"event: {kind}\n".encode() + frame({"type": kind, **more})


def response(**more: object) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "model": "gpt-9",
        "status": "completed",
        "output": [],
        **more,
    }


def message(text: str, item_id: str = "msg_1") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": item_id,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": content,
    }


@dataclass(frozen=True)
class ModelWire:
    """Chat completions."""

    path: str = "/chat/completions"
    nothing: bytes = frame({"choices": []})
    begin: bytes = frame(chat.chunk({"role": "assistant", "content": ""}))
    stop: bytes = chat.STOP
    filtered: bytes = frame(chat.chunk(reason="content_filter"))
    length: bytes = frame(chat.chunk(reason="length"))
    other_shape: bytes = frame({"choices": {"delta": "lo"}})
    no_text: bytes = frame(chat.chunk({"content": 1}))

    def text(self, content: str) -> bytes:
        return chat.text(content)

    def error(self, **error: object) -> bytes:
        return frame({"error": error})

    def ending(self, prompt: int, completion: int) -> Sequence[bytes]:
        usage = {"prompt_tokens": prompt, "completion_tokens": completion}
        return [self.stop, frame(chat.chunk(choices=[], usage=usage)), DONE]


CREATED = event("response.created", response=response(status="in_progress"))
DELTA = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "logprobs": []}


@dataclass(frozen=True)
class ResponsesWire(ModelWire):
    """Responses."""

    path: str = "/responses"
    nothing: bytes = event("response.in_progress", response=response(status="in_progress"))
    begin: bytes = CREATED + event(
        "response.output_item.added", output_index=0, item=message("") | {"content": []}
    )
    stop: bytes = event("response.completed", response=response())
    filtered: bytes = event(
        "response.incomplete",
        response=response(status="incomplete", incomplete_details={"reason": "content_filter"}),
    )
    length: bytes = event(
        "response.incomplete",
        response=response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
    )
    other_shape: bytes = event("response.output_item.done", item="lo")
    no_text: bytes = event("response.output_text.delta", delta=1)

    def text(self, content: str) -> bytes:
        return event("response.output_text.delta", **DELTA, delta=content)

    def error(self, **error: object) -> bytes:
        return event("error", **error)

    def ending(self, prompt: int, completion: int) -> Sequence[bytes]:
        usage = {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion}
        return [event("response.completed", response=response(usage=usage))]


WIRES = {"chat": ModelWire(), "responses": ResponsesWire(), "agent": ResponsesWire()}
"""By the names of the protocols in the settings."""
