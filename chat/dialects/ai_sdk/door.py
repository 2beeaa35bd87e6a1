"""What clients of the AI SDK ask for: a new message, an answer made anew, or to go on with what they say to calls."""

from collections.abc import Iterator, Sequence

from chat.calls import Approval, CallAnswer, CallOutput, ToolDefinition
from chat.dialects.ai_sdk.body_schemas import FilePart, TextPart, ToolPart, UIChatBody, UIMessage
from chat.dialects.ai_sdk.files import read_text_file
from chat.dialects.approval_ids import split_approval_id
from chat.dialects.base import Asked, Asker
from chat.dialects.conversations import said
from chat.errors import ValidationError
from chat.events import JSONObject
from chat.messages import MessageDraft, split_message_id
from chat.requests import TurnRequest
from chat.schemas.fields import EMPTY, check_size, json_text

NAME = "ai-sdk"
OUTPUT_BYTES = 64 * 1024  # of the output of one call


def read_ui_body(body: UIChatBody, asker: Asker) -> Asked:
    """ValidationError, TooLarge."""
    messages = body.listed
    chat = body.id or _chat_of(messages)
    if body.trigger == "submit-message" and (place := _answering(body, messages)) is not None:
        answers = tuple(_answers(f"messages.{place}", messages[place]))
        return Asked(_request(body, asker, message_id=messages[place].id), chat=chat, answers=answers)
    last = _question(body, messages)
    drafts = [
        said(each.role, text, asker)
        for place, each in enumerate(messages[: last + 1])
        if (text := _text(f"messages.{place}", each, asker, whole=place == last)) or place == last
    ]
    if not drafts[-1].content.strip():
        raise ValidationError(f"messages.{last}", EMPTY)
    request = _request(body, asker, content=drafts[-1].content, history=tuple(drafts[:-1]))
    return Asked(request, chat=chat, anew=body.messageId if body.trigger == "regenerate-message" else None)


def _request(
    body: UIChatBody,
    asker: Asker,
    *,
    content: str = "",
    history: tuple[MessageDraft, ...] = (),
    message_id: str | None = None,
) -> TurnRequest:
    client: JSONObject = {} if message_id is None else {"message": message_id}
    if body.tools:
        client["tools"] = [*sorted(body.tools)]
    if body.uiMessageStream == "v7":
        client["v7"] = True
    return TurnRequest(
        asker.user_id,
        content=content,
        history=history,
        nonce=asker.nonce,
        tools=tuple(_tools(body)),
        pipeline=body.pipeline or "",
        dialect=NAME,
        client=client,
    )


def _tools(body: UIChatBody) -> Iterator[ToolDefinition]:
    for name, each in body.tools.items():
        if each.parameters.get("type", "object") != "object":
            raise ValidationError(f"tools.{name}.parameters", "Must be the schema of an object")
        schema: JSONObject = {"type": "object", "properties": {}, **each.parameters}
        yield ToolDefinition(name, each.description, schema)


def _chat_of(messages: Sequence[UIMessage]) -> str:
    """By an answer of ours, where a client does not name its chat: its id leads to the session."""
    ids = (each.id for each in reversed(messages) if each.role == "assistant")
    return next((each for each in ids if split_message_id(each)), "")


def _question(body: UIChatBody, messages: Sequence[UIMessage]) -> int:
    """The place of the user's message that is to be answered."""
    if not messages:
        raise ValidationError("messages", "Must not be empty")
    last = len(messages) - 1
    if body.trigger == "regenerate-message":
        while last > 0 and messages[last].role != "user":
            last -= 1
    if messages[last].role != "user":
        raise ValidationError(
            "messages",
            "The last message must be the user's, or have outputs of calls, or what was said to them",
        )
    return last


def _text(field: str, message: UIMessage, asker: Asker, *, whole: bool) -> str:
    """A message as the model is shown it, each file of text behind its name. Only of the newest one all must be
    readable: what an older one has beside text is left out."""
    texts = [] if message.parts else [message.text]
    for place, part in enumerate(message.parts):
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif isinstance(part, FilePart) and message.role == "user":
            try:
                text = read_text_file(part.url, part.mediaType)
            except ValueError as error:
                if whole:
                    raise ValidationError(f"{field}.parts.{place}", str(error)) from None
                continue
            texts.append(f"\n\n{part.filename or 'file'}:\n{text}\n\n")
    said = "".join(texts)
    check_size(field, said, limit=asker.message_bytes)
    return said if said.strip() else ""


def _answering(body: UIChatBody, messages: Sequence[UIMessage]) -> int | None:
    """The place of the answer whose calls wait for what this request brings: the last message, or the one that it
    names; None where it asks something new."""
    if messages and messages[-1].role == "assistant" and _said_to(messages[-1]):
        return len(messages) - 1
    for place, each in enumerate(messages):
        if each.role == "assistant" and each.id and each.id == body.messageId and _said_to(each):
            return place
    return None


def _said_to(message: UIMessage) -> list[tuple[int, ToolPart]]:
    """The calls of its last step that were answered where they were shown: those of the page's own tools, and those
    that needed somebody's word. All others are ours."""
    steps = [place for place, part in enumerate(message.parts) if part.type == "step-start"]
    start = steps[-1] + 1 if steps else 0
    parts = [(start + place, part) for place, part in enumerate(message.parts[start:])]
    return [(place, part) for place, part in parts if isinstance(part, ToolPart) and _is_answered(part)]


def _is_answered(part: ToolPart) -> bool:
    if part.state == "approval-responded":
        return part.approval is not None and part.approval.approved is not None
    return part.type != "dynamic-tool" and part.state in ("output-available", "output-error")


def _answers(field: str, message: UIMessage) -> Iterator[CallAnswer]:
    for place, part in _said_to(message):
        if part.state == "approval-responded" and part.approval is not None:
            turn_id, _ = split_approval_id(part.approval.id)
            approved, reason = part.approval.approved is True, part.approval.reason
            yield Approval(part.toolCallId, approved, reason=reason, turn_id=turn_id)
            continue
        is_error = part.state == "output-error"
        of_part = f"{field}.parts.{place}.output"
        output = part.errorText if is_error else _written(of_part, part.output)
        check_size(of_part, output, limit=OUTPUT_BYTES)
        yield CallOutput(part.toolCallId, output, is_error)


def _written(field: str, output: object) -> str:
    try:
        return output if isinstance(output, str) else json_text(output).decode()
    except ValueError as error:
        raise ValidationError(field, str(error)) from None
