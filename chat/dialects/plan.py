"""Dialect `plan`: the stages of the trip planner as they come, then `done` or `error` (docs/protocol.md, section 4)."""

from collections.abc import Iterable, Sequence

from chat.conversation import Turn
from chat.dialects.base import Dialect
from chat.events import (
    JSON,
    JSONObject,
    NumberedEvent,
    Progress,
    StageFinished,
    StageItem,
    TurnCancelled,
    TurnFailed,
    TurnFinished,
)

ITEMS = {"pois": "poi"}  # the stages whose items are shown one by one


class PlanEncoder:
    """Every frame names its turn and the number of its event; the first one its session, for who came without."""

    def __init__(self, turn_id: str, session_id: str) -> None:
        self._turn_id = turn_id
        self._first: JSONObject = {"session_id": session_id}  # until it was shown

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        match numbered.event:
            case StageItem(stage, item) if stage in ITEMS:
                return (self._frame(numbered, ITEMS[stage], data=item),)
            case StageFinished(stage, result) if result is not None:
                return (self._frame(numbered, stage, data=result),)
            case Progress(percent):
                return (self._frame(numbered, "progress", percent=percent),)
            case TurnFinished():
                return (self._frame(numbered, "done"),)
            case TurnFailed(code, message, retryable):
                return (self._frame(numbered, "error", message=message, code=code, retryable=retryable),)
            case TurnCancelled():
                return (self._frame(numbered, "error", message="The turn was stopped.", code="CANCELLED"),)
            case _:
                return ()

    def _frame(self, numbered: NumberedEvent, kind: str, **more: JSON) -> JSONObject:
        first, self._first = self._first, {}
        return {"type": kind, **more, "turn_id": self._turn_id, "seq": numbered.number, **first}


def _encoder(turn: Turn) -> PlanEncoder:
    return PlanEncoder(turn.id, turn.session_id)


def _snapshot(turn: Turn, events: Sequence[NumberedEvent]) -> Iterable[JSONObject]:
    """The stages so far: of one that is finished the whole list, and the newest progress."""
    finished = {each.event.stage for each in events if isinstance(each.event, StageFinished)}
    progress = [each for each in events if isinstance(each.event, Progress)]
    encoder = PlanEncoder(turn.id, turn.session_id)
    for numbered in events:
        event = numbered.event
        old = isinstance(event, Progress) and numbered is not progress[-1]
        if not old and not (isinstance(event, StageItem) and event.stage in finished):
            yield from encoder.encode(numbered)


PLAN = Dialect("plan", _encoder, snapshot=_snapshot)
