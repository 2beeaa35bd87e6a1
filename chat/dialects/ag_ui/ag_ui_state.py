"""The state that agent and page share in a run of the trip planner: what the caller gave, changed by each stage.

Changes are JSON Patches (RFC 6902). What a page keeps in its state beside the trip stays as it is.
"""

from collections.abc import Iterable
from typing import cast

from chat.events import JSON, JSONObject
from chat.requests import TRIP_STAGES, TurnRequest


class TripPatches:
    """Knows which stages have shown items of a result that is not there yet."""

    def __init__(self, request: TurnRequest) -> None:
        given, beside = request.input.get("given"), request.client.get("state")
        self._given = cast("JSONObject", given) if isinstance(given, dict) else {}
        self._beside = cast("JSONObject", beside) if isinstance(beside, dict) else {}
        self._begun: set[str] = set()

    def snapshot(self) -> JSON:
        """The state as the run begins."""
        return {**self._beside, **{stage: self._given.get(stage, []) for stage in TRIP_STAGES}}

    def with_item(self, stage: str, item: JSON) -> Iterable[JSONObject]:
        """An item is added at the end, until the result takes the place of all."""
        self._begun.add(stage)
        return (_delta("add", f"/{stage}/-", item),)

    def with_result(self, stage: str, result: JSON) -> Iterable[JSONObject]:
        """None is no result: the items of an answer that does not do are taken back."""
        shown = stage in self._begun
        self._begun.discard(stage)
        if result is None and not shown:
            return ()
        return (_delta("replace", f"/{stage}", self._given.get(stage, []) if result is None else result),)


def _delta(operation: str, path: str, value: JSON) -> JSONObject:
    return {"type": "STATE_DELTA", "delta": [{"op": operation, "path": path, "value": value}]}
