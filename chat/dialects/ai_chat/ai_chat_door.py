"""What callers ask in dialect `ai-chat`, and what they are answered where it is no stream."""

from collections.abc import Sequence

from chat.conversation import Turn
from chat.dialects.ai_chat.ai_chat_encoder import AiChatEncoder
from chat.dialects.ai_chat.ai_chat_schemas import AiChatBody
from chat.dialects.base import Asked, Asker, Reply
from chat.dialects.conversations import read_conversation
from chat.dialects.shapes import failure_headers, in_a_sentence, json_reply, retry_after
from chat.errors import ChatError, Conflict, WithFiles
from chat.events import JSON, TERMINAL_NUMBER, JSONObject, NumberedEvent, TurnFailed
from chat.requests import TurnRequest

PATIENCE = 200.0  # seconds after which a whole reply is given up: the platform's front end gives up after 230

GOES_ON = "The answer takes longer than a request may. It goes on, and will stand in its session."

LISTS = {"stage": "stages", "toolCall": "toolCalls", "toolOutput": "toolOutputs", "approval": "approvals"}
"""Where a whole reply has what the lines of a stream have one by one."""


def read(body: AiChatBody, asker: Asker) -> Asked:
    """In a session that `sessionState` names, the stored history counts and only the last message is new; else the
    messages before the last begin a new one. ValidationError, TooLarge, WithFiles."""
    if body.messages[-1].files:
        raise WithFiles
    content, history = read_conversation(body.messages, asker, is_known=bool(body.session_state))
    request = TurnRequest(
        asker.user_id,
        content=content,
        session_id=body.session_state or "",
        history=history,
        nonce=asker.nonce,
        dialect="ai-chat",
    )
    return Asked(request, stream=asker.path.lower().rstrip("/").endswith("/stream"))


def refusal(error: ChatError) -> Reply:
    """What is refused without a turn."""
    headers = retry_after(error.status, getattr(error, "retry_after", None))
    return _error(error.code, in_a_sentence(error), error.status, headers)


def failed(turn: Turn, failure: TurnFailed) -> Reply:
    """A turn that failed before it said anything, or that was to be answered whole."""
    return _error(failure.code, failure.message, failure.status, failure_headers(turn, failure))


def whole(turn: Turn, events: Sequence[NumberedEvent]) -> Reply:
    """All of a turn in one. What is there of a turn that goes on is no answer: a client could not tell."""
    last = events[-1] if events else None
    if last is not None and isinstance(last.event, TurnFailed):
        return failed(turn, last.event)
    if last is None or last.number != TERMINAL_NUMBER:
        return refusal(Conflict(GOES_ON))
    content: list[str] = []
    context: JSONObject = {}
    lists: dict[str, list[JSON]] = {}
    encoder = AiChatEncoder(turn.id, turn.session_id)
    for line in (line for each in events for line in encoder.encode(each)):
        match line:
            case {"delta": {"content": str(text)}}:
                content.append(text)
            case _:
                pass
        match line:
            case {"context": dict(found)}:
                _collect(found, context, lists)
            case _:
                pass
    message: JSONObject = {"role": "assistant", "content": "".join(content)}
    state: JSONObject = {"sessionState": turn.session_id}
    return json_reply({"message": message, **state, "context": {**context, **lists}})


def _collect(found: JSONObject, context: JSONObject, lists: dict[str, list[JSON]]) -> None:
    for name, value in found.items():
        if name in LISTS:
            lists.setdefault(LISTS[name], []).append(value)
        elif name != "progress":
            context[name] = value


def _error(code: str, message: str, status: int, headers: dict[str, str]) -> Reply:
    return json_reply({"error": {"code": code, "message": message}}, status, headers)
