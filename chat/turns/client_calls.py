"""Going on after the caller ran its own tools: which answer the outputs belong to, and whether they are all there."""

from collections.abc import Iterable, Mapping, Sequence

from chat.calls import CallAnswer, CallOutput
from chat.errors import Forbidden, ValidationError
from chat.events import JSON, JSONObject
from chat.messages import Message, MessageDraft
from chat.store.conversation_store import ConversationStore
from chat.turns.tool_history import stored_calls

LOOKED_BACK = 50  # messages among which the answer must be

FIELD = "tool_outputs"


async def find_continued(
    conversations: ConversationStore,
    user_id: str,
    session_id: str,
    answers: Sequence[CallAnswer],
    *,
    key: str = "",
) -> tuple[str, MessageDraft]:
    """The id of the answer that waits for these outputs, and the answer with them.

    SessionNotFound, Forbidden. ValidationError names the output that no answer waits for, that came before or is
    missing. A repeated request, which is known by its key, finds the answer again.
    """
    session = await conversations.get_session(user_id, session_id)
    if not session.allows(user_id, "editor"):
        raise Forbidden
    outputs = _outputs(answers)
    messages = await conversations.list_messages(user_id, session_id, limit=LOOKED_BACK, newest=True)
    waiting = _waiting(messages, outputs[0].call_id)
    pending = {str(call["id"]) for call in stored_calls(waiting.metadata) if call["output"] is None}
    _check_outputs(outputs, pending)
    repeated = session.asked_by(key) is not None
    if not repeated:
        check_unanswered(waiting.id, messages)
    return waiting.id, _answered(waiting, {each.call_id: each for each in outputs})


def _outputs(answers: Sequence[CallAnswer]) -> list[CallOutput]:
    outputs = [each for each in answers if isinstance(each, CallOutput)]
    if len(outputs) < len(answers):
        raise ValidationError(FIELD, "No call waits for an approval")
    return outputs


def _waiting(messages: Sequence[Message], call_id: str) -> Message:
    """Only a turn that ended well leaves calls to the caller."""
    for message in reversed(messages):
        if message.role == "assistant" and message.status == "complete":
            calls = stored_calls(message.metadata)
            if any(call["id"] == call_id and call["output"] is None for call in calls):
                return message
    raise ValidationError(f"{FIELD}.0.call_id", "No call of this id waits for an output")


def _check_outputs(outputs: Iterable[CallOutput], pending: set[str]) -> None:
    given: set[str] = set()
    for number, each in enumerate(outputs):
        if each.call_id not in pending:
            raise ValidationError(f"{FIELD}.{number}.call_id", "No call of this id waits for an output")
        if each.call_id in given:
            raise ValidationError(f"{FIELD}.{number}.call_id", "There are two outputs of this call")
        given.add(each.call_id)
    if missing := sorted(pending - given):
        raise ValidationError(FIELD, f"The output of {', '.join(missing)} is missing")


def check_unanswered(answer_id: str, messages: Iterable[Message]) -> None:
    """ValidationError when a turn went on from that answer. One that broke does not count: the same outputs may be sent
    again."""
    for each in messages:
        if each.metadata.get("continues") == answer_id and each.status in ("streaming", "complete"):
            raise ValidationError(f"{FIELD}.0.call_id", "This call has been answered already")


def _answered(waiting: Message, outputs: Mapping[str, CallOutput]) -> MessageDraft:
    calls: list[JSON] = [_with_output(call, outputs) for call in stored_calls(waiting.metadata)]
    metadata: JSONObject = {"continues": waiting.id, "tool_calls": calls}
    return MessageDraft("assistant", waiting.content, metadata=metadata, status="streaming")


def _with_output(call: JSONObject, outputs: Mapping[str, CallOutput]) -> JSONObject:
    given = outputs.get(str(call["id"])) if call["output"] is None else None
    return {**call, "output": given.output, "is_error": given.is_error} if given else call
