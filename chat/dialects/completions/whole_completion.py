"""A turn as one completion, put together from its chunks."""

from collections.abc import Sequence
from typing import Any, cast

from chat.conversation import Turn
from chat.dialects.base import Reply
from chat.dialects.completions.completion_chunks import CompletionsEncoder
from chat.dialects.openai_errors import failed, show_error
from chat.dialects.shapes import json_reply
from chat.events import JSON, TERMINAL_TYPES, JSONObject, NumberedEvent, TurnFailed

PATIENCE = 200.0  # seconds that a caller waits: the platform's front end gives up after 230
BESIDE = ("tool_call", "tool_output", "stage", "approval")
"""What chunks say beside their choices; here a list of each."""

LATE = "The answer takes longer than {seconds:.0f} s. It goes on as turn {turn_id}; ask with stream to see it grow."


def whole(turn: Turn, events: Sequence[NumberedEvent]) -> Reply:
    """504 while the turn goes on: to ask again would begin another."""
    last = events[-1].event if events else None
    if isinstance(last, TurnFailed):
        return failed(turn, last)
    headers = {"x-session-id": turn.session_id, "x-turn-id": turn.id}
    if not isinstance(last, TERMINAL_TYPES):
        late = show_error(504, "STILL_RUNNING", LATE.format(seconds=PATIENCE, turn_id=turn.id))
        return json_reply(late, 504, {**headers, "x-should-retry": "false"})
    encoder, completion = CompletionsEncoder(turn, with_usage=True), _Completion()
    for each in events:
        for chunk in encoder.encode(each):
            completion.add(chunk)
    return json_reply(completion.shown(), headers=headers)


class _Completion:
    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._beside: dict[str, JSON] = {}
        self._reason: JSON = None
        self._last: JSONObject = {}

    def add(self, chunk: JSONObject) -> None:
        self._last = chunk
        for name in BESIDE:
            if name in chunk:
                cast("list[JSON]", self._beside.setdefault(name, [])).append(chunk[name])
        for choice in cast("list[dict[str, Any]]", chunk["choices"]):
            delta, self._reason = choice["delta"], choice["finish_reason"]
            self._texts.append(delta.get("content", ""))
            self._thoughts.append(delta.get("reasoning_content", ""))
            for call in delta.get("tool_calls", ()):
                self._add_call(call)

    def shown(self) -> JSONObject:
        choice: JSONObject = {"index": 0, "message": self._message(), "finish_reason": self._reason}
        return {
            **{name: self._last[name] for name in ("id", "created", "model", "usage")},
            "object": "chat.completion",
            "choices": [{**choice, "logprobs": None}],
            **self._beside,
        }

    def _message(self) -> JSONObject:
        text, thoughts = "".join(self._texts), "".join(self._thoughts)
        calls = cast("list[JSON]", self._calls)
        return {
            "role": "assistant",
            "content": text or (None if calls else ""),
            "refusal": None,
            **({"reasoning_content": thoughts} if thoughts else {}),
            **({"tool_calls": calls} if calls else {}),
        }

    def _add_call(self, call: dict[str, Any]) -> None:
        if call["index"] == len(self._calls):
            self._calls.append({name: call[name] for name in ("id", "type", "function")})
        else:
            function = self._calls[call["index"]]["function"]
            function["arguments"] += call["function"]["arguments"]
