"""Dialect `responses`: OpenAI's Responses API (docs/protocols.md)."""

from chat.dialects.base import Dialect, Door
from chat.dialects.framing import sse
from chat.dialects.openai_errors import failed, refusal
from chat.dialects.responses.response_body import ResponsesBody
from chat.dialects.responses.response_events import ResponsesEncoder
from chat.dialects.responses.response_object import NAME
from chat.dialects.responses.response_request import read_body
from chat.dialects.responses.whole_response import whole

WHOLE = 200.0  # seconds after which a response is shown as far as it is: the platform's front end gives up after 230
BARE = sse(named=True, with_ids=False)

RESPONSES = Dialect(
    NAME,
    ResponsesEncoder,
    framing=sse(named=True),
    door=Door(
        ResponsesBody,
        read_body,
        framing=BARE,
        failed=failed,
        refusal=refusal,
        whole=whole,
        patience=WHOLE,
    ),
    schemas="chat.dialects.responses.response_schemas",
)
