"""Dialect `mcp`: a turn as the Model Context Protocol shows it, at the route of its own.

What else is said there, the lists and the handshake, is no turn: `chat/routes/mcp_exchange.py`.
"""

import orjson

from chat.dialects.base import Asked, Asker, Dialect, Door, Reply, plain_error
from chat.dialects.framing import sse
from chat.dialects.mcp.mcp_turns import McpEncoder, whole
from chat.errors import ChatError, InvalidBody, NotAnObject, ValidationError
from chat.requests import TurnRequest
from chat.schemas.fields import check_size, validate
from chat.schemas.json_rpc import INTERNAL_ERROR, INVALID_REQUEST, PARSE_ERROR, REFUSED, RpcError, show_error
from chat.schemas.mcp_bodies import Ask, McpMessage

NAME = "mcp"
METADATA = "/.well-known/oauth-protected-resource/api/mcp"


def _read(body: McpMessage, asker: Asker) -> Asked:
    """A call of `ask` that says something."""
    asked = validate(Ask, body.params.get("arguments") or {})
    if asked.text is None:
        raise ValidationError("text", "This field must be given, or turn_id")
    check_size("text", asked.text, limit=asker.message_bytes)
    request = TurnRequest(
        asker.user_id, content=asked.text, session_id=asked.conversation_id, nonce=asker.nonce, dialect=NAME
    )
    return Asked(request)


def _refusal(error: ChatError) -> Reply:
    """What is refused before anybody knows which request it is."""
    match error:
        case NotAnObject() | ValidationError():
            code, status = INVALID_REQUEST, 400
        case InvalidBody():
            code, status = PARSE_ERROR, 400
        case _:
            code, status = (INTERNAL_ERROR if error.status == 500 else REFUSED), error.status
    told = show_error(None, RpcError(code, error.message, plain_error(error)))
    return Reply(status, orjson.dumps(told), {"content-type": "application/json"})


MCP = Dialect(
    NAME,
    McpEncoder,
    door=Door(
        McpMessage,
        _read,
        framing=sse(with_ids=False),
        refusal=_refusal,
        whole=whole,
        signs_in_by=METADATA,
    ),
    schemas="chat.dialects.mcp.mcp_schemas",
)
