"""A response as one object, whether its turn runs or has ended."""

from collections.abc import Sequence

from chat.conversation import Turn
from chat.dialects.base import Reply
from chat.dialects.openai_errors import failed
from chat.dialects.responses.response_events import ResponsesEncoder
from chat.dialects.shapes import json_reply
from chat.events import JSONObject, NumberedEvent, TextDelta, ToolCallStarted, TurnFailed


def show_response(turn: Turn, events: Sequence[NumberedEvent]) -> JSONObject:
    """The response as these events leave it."""
    encoder = ResponsesEncoder(turn)
    shown: JSONObject | None = None
    for each in events:
        for payload in encoder.encode(each):
            if each is events[-1] and isinstance(response := payload.get("response"), dict):
                shown = response
    return shown if shown is not None and _has_ended(shown) else encoder.response()


def whole(turn: Turn, events: Sequence[NumberedEvent]) -> Reply:
    """The reply to a request without a stream. A turn that failed before it said anything is an HTTP error."""
    last = events[-1].event if events else None
    if isinstance(last, TurnFailed) and not any(_speaks(each) for each in events):
        return failed(turn, last)
    ids = {"x-session-id": turn.session_id, "x-turn-id": turn.id}
    return json_reply(show_response(turn, events), 200, ids)


def _has_ended(response: JSONObject) -> bool:
    return response["status"] not in ("queued", "in_progress")


def _speaks(numbered: NumberedEvent) -> bool:
    return isinstance(numbered.event, TextDelta | ToolCallStarted)
