"""Dialect `responses`: OpenAI's Responses API (docs/protocols.md)."""

from functools import partial

from chat.dialects.base import Dialect, Door, PastFace
from chat.dialects.framing import sse
from chat.dialects.openai_errors import failed, refusal
from chat.dialects.responses.past_response import events_of, given_to, input_items, show_deleted
from chat.dialects.responses.response_body import ResponsesBody
from chat.dialects.responses.response_events import ResponsesEncoder
from chat.dialects.responses.response_object import NAME, turn_id_of
from chat.dialects.responses.response_request import read_body
from chat.dialects.responses.resumed_response import ResumedEncoder
from chat.dialects.responses.whole_response import show_response, whole

WHOLE = 200.0  # seconds after which a response is shown as far as it is: the platform's front end gives up after 230
FIELDS = {"tool_outputs": "input", "approvals": "input"}
"""Where requests bring what the core knows by these names."""

RESPONSES = Dialect(
    NAME,
    ResponsesEncoder,
    framing=sse(named=True),
    door=Door(
        ResponsesBody,
        read_body,
        framing=sse(named=True, with_ids=False),
        failed=failed,
        refusal=partial(refusal, fields=FIELDS),
        whole=whole,
        patience=WHOLE,
    ),
    past=PastFace(
        turn_id=turn_id_of,
        show=show_response,
        recall=events_of,
        rest=ResumedEncoder,
        given=given_to,
        brought=input_items,
        deleted=show_deleted,
    ),
    schemas="chat.dialects.responses.response_schemas",
)
