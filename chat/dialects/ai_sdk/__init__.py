"""Dialect `ai-sdk`: the UI message stream of Vercel's AI SDK, which `useChat` speaks (docs/protocols.md)."""

from chat.conversation import Turn
from chat.dialects.ai_sdk.body_schemas import UIChatBody
from chat.dialects.ai_sdk.door import NAME, read_ui_body
from chat.dialects.ai_sdk.earlier import join_message
from chat.dialects.ai_sdk.encoder import UIMessageEncoder
from chat.dialects.ai_sdk.socket_face import SOCKET
from chat.dialects.base import Dialect, Door, Reply
from chat.dialects.framing import sse
from chat.dialects.shapes import failure_headers, in_a_sentence
from chat.errors import ChatError
from chat.events import TurnFailed

TEXT = {"content-type": "text/plain; charset=utf-8"}


def _headers(turn: Turn) -> dict[str, str]:
    return {"x-vercel-ai-ui-message-stream": "v1", "x-workflow-run-id": turn.id}


def _refused(error: ChatError) -> Reply:
    """A sentence: pages show the body as the error's message."""
    return Reply(error.status, in_a_sentence(error).encode(), TEXT)


def _failed(turn: Turn, failed: TurnFailed) -> Reply:
    return Reply(failed.status, failed.message.encode(), {**failure_headers(turn, failed), **TEXT})


PAGE = sse(done="[DONE]", with_ids=False, headers=_headers)
AI_SDK = Dialect(
    NAME,
    UIMessageEncoder,
    joined=join_message,
    framing=sse(done="[DONE]", headers=_headers),
    door=Door(UIChatBody, read_ui_body, framing=PAGE, failed=_failed, refusal=_refused),
    socket=SOCKET,
    schemas="chat.dialects.ai_sdk.socket_schemas",
)
