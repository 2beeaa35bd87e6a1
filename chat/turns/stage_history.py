"""The results of a turn's stages as its message keeps them, in `metadata.plan`: events live for a day, messages longer.

They are bounded, since they go with every read of the message.
"""

import json
from collections.abc import Iterable

from chat.events import JSON, JSONObject, NumberedEvent, StageFinished

KEPT_BYTES = 24 * 1024  # of all results of a message, as JSON


def with_results(metadata: JSONObject, events: Iterable[NumberedEvent]) -> JSONObject:
    """The metadata of an answer with the results of its turn's stages; of a turn without stages, as it was."""
    results: JSONObject = {
        event.stage: event.result
        for _, event in events
        if isinstance(event, StageFinished) and event.result is not None
    }
    return {**metadata, "plan": kept(results)} if results else metadata


def kept(results: JSONObject) -> JSONObject:
    """The last stage is what the others were for, so it has the first claim to the room. A list that is too long loses
    its last items; where anything is lost, `truncated` says so."""
    room = KEPT_BYTES
    found: JSONObject = {}
    for stage, result in reversed(results.items()):
        shown = _fitting(result, room)
        if shown is not None:
            found[stage] = shown
            room -= _size(shown)
    plan = {stage: found[stage] for stage in results if stage in found}
    return plan if plan == results else {**plan, "truncated": True}


def _fitting(result: JSON, room: int) -> JSON:
    """As much of a result as there is room for; None for nothing of it."""
    if _size(result) <= room:
        return result
    items: list[JSON] = []
    for each in result if isinstance(result, list) else []:
        if _size([*items, each]) > room:
            break
        items.append(each)
    return items or None


def _size(value: JSON) -> int:
    return len(json.dumps(value))
