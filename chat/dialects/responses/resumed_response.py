"""The rest of a stream, after the event with a number that its reader has."""

from collections.abc import Iterable

from chat.conversation import Turn
from chat.dialects.responses.response_events import ENDS, ResponsesEncoder
from chat.events import JSONObject, NumberedEvent


class ResumedEncoder:
    """Leaves out what the reader has. The last event comes even where its number is below the reader's, who then saw
    more than there is now: it is numbered on from there."""

    def __init__(self, turn: Turn, after: int) -> None:
        self._encoder, self._after = ResponsesEncoder(turn), after

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        return [
            left for payload in self._encoder.encode(numbered) if (left := self._left(payload)) is not None
        ]

    def _left(self, payload: JSONObject) -> JSONObject | None:
        number = payload["sequence_number"]
        assert isinstance(number, int)
        if number > self._after:
            return payload
        if payload["type"] in ENDS and number < self._after:
            return {**payload, "sequence_number": self._after + 1}
        return {**payload, "sequence_number": self._after} if payload["type"] == "error" else None
