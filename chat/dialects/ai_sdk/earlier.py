"""A message of several turns: what those before the newest one said, for who comes to it later."""

from collections.abc import Iterable, Sequence

from chat.conversation import Turn
from chat.dialects.ai_sdk.encoder import UIMessageEncoder
from chat.dialects.base import Earlier
from chat.events import JSONObject

ENDS = ("start", "finish", "error", "abort")  # a message has these once


def join_message(turn: Turn, *, earlier: Sequence[Earlier]) -> UIMessageEncoder:
    """A turn as the whole of its message."""
    if not earlier:
        return UIMessageEncoder(turn)
    before = [chunk for each in earlier for chunk in _shown(each)]
    message_id = str(turn.request.client.get("message") or earlier[0].turn.id)
    return UIMessageEncoder(turn, message_id=message_id, before=before)


def _shown(earlier: Earlier) -> list[JSONObject]:
    """A turn that another went on from, and what came of calls that it left to its caller."""
    encoder = UIMessageEncoder(earlier.turn)
    chunks = [chunk for each in earlier.events for chunk in encoder.encode(each)]
    shown = [each for each in chunks if each["type"] not in ENDS and "transient" not in each]
    return [*shown, *_outputs(earlier.calls, shown)]


def _outputs(calls: Iterable[JSONObject], shown: Sequence[JSONObject]) -> Iterable[JSONObject]:
    left = {str(each["toolCallId"]) for each in shown if each["type"] == "tool-input-available"}
    left -= {str(each["toolCallId"]) for each in shown if str(each["type"]).startswith("tool-output-")}
    for call in calls:
        if call["id"] in left and call["output"] is not None:
            told: JSONObject = {"toolCallId": call["id"]}
            if call["is_error"]:
                yield {"type": "tool-output-error", **told, "errorText": call["output"]}
            else:
                yield {"type": "tool-output-available", **told, "output": call["output"]}
