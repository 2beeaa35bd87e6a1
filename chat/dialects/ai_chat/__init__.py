"""Dialect `ai-chat`: Microsoft's AI Chat Protocol (docs/protocols.md).

https://github.com/microsoft/ai-chat-protocol/tree/main/spec: a reply as JSON, or as lines of JSON. `sessionState` is
the session's id. Nothing in it says that a stream is whole: the last line's `context.status` does, for those who look.
"""

from chat.conversation import Turn
from chat.dialects.ai_chat.ai_chat_door import PATIENCE, failed, read, refusal, whole
from chat.dialects.ai_chat.ai_chat_encoder import AiChatEncoder
from chat.dialects.ai_chat.ai_chat_schemas import AiChatBody
from chat.dialects.base import Dialect, Door, Framing
from chat.dialects.framing import NDJSON

LINES = Framing("application/jsonl", NDJSON.frame, NDJSON.heartbeat)
"""As the specification calls lines of JSON."""


def _encoder(turn: Turn) -> AiChatEncoder:
    return AiChatEncoder(turn.id, turn.session_id)


AI_CHAT = Dialect(
    "ai-chat",
    _encoder,
    framing=LINES,
    door=Door(AiChatBody, read, failed=failed, refusal=refusal, whole=whole, patience=PATIENCE),
    schemas="chat.dialects.ai_chat.ai_chat_schemas",
)
