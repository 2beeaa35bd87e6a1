"""What a request for a completion asks for.

The given messages are the conversation: the model is shown them, and none of them is stored but the last question. With
the id of a session, in the header `x-session-id` or as `metadata.session_id`, that session is the conversation, and
only what came last is new.
"""

from collections.abc import Sequence
from typing import cast

from chat.calls import Approval, CallAnswer, CallOutput, ToolDefinition
from chat.dialects.base import Asked, Asker
from chat.dialects.completions.completion_body import (
    CompletionCall,
    CompletionMessage,
    CompletionsBody,
    CompletionTool,
    CompletionToolChoice,
)
from chat.errors import ValidationError
from chat.events import JSON, JSONObject
from chat.messages import MessageDraft
from chat.reply_options import ReplyOptions, ResponseSchema, ToolChoice
from chat.requests import TurnRequest
from chat.schemas.fields import EMPTY, check_id, check_size

NAME = "completions"
TOLD = ("system", "developer")
"""Roles of what the model is told, beside the conversation."""
OUTPUT_BYTES = 64 * 1024  # of what came of one call, or of its arguments
LATER = "Only text can be carried: there is no way yet to show the model a part of type {kind}"


def read_body(body: CompletionsBody, asker: Asker) -> Asked:
    """ValidationError, TooLarge."""
    _check(body)
    texts = [_text(number, each, asker.message_bytes) for number, each in enumerate(body.messages)]
    last = _question(body.messages, texts)
    session_id = _session_id(body, asker)
    if body.approvals and not session_id:
        raise ValidationError("approvals", "Name the session whose call waits, as metadata.session_id")
    answers = _answers(body, texts) if session_id else ()
    request = TurnRequest(
        asker.user_id,
        content="" if answers else texts[last],
        session_id=session_id,
        transcript=() if session_id else _transcript(body.messages, texts, asker.user_id),
        nonce=asker.nonce,
        settings=_settings(body, texts),
        options=_options(body),
        provider=asker.models.get(body.model, ""),
        tools=_tools(body.tools),
        dialect=NAME,
        client=_client(body),
    )
    return Asked(request, stream=body.stream, answers=answers)


def _check(body: CompletionsBody) -> None:
    """What the reply could not have is refused before it is missed."""
    if body.logprobs:
        raise ValidationError("logprobs", "Probabilities of tokens are not known here")
    if set(body.modalities) - {"text"}:
        raise ValidationError("modalities", "Only text can be answered")


def _text(number: int, message: CompletionMessage, limit: int) -> str:
    """What a message says."""
    field = f"messages.{number}.content"
    for place, part in enumerate(message.content):
        if part.type not in ("text", "refusal"):
            raise ValidationError(f"{field}.{place}.type", LATER.format(kind=part.type))
    text = "\n".join(part.text or part.refusal for part in message.content)
    check_size(field, text, limit=min(limit, OUTPUT_BYTES) if message.role == "tool" else limit)
    if message.role == "user" and not text.strip():
        raise ValidationError(field, EMPTY)
    return text


def _question(messages: Sequence[CompletionMessage], texts: Sequence[str]) -> int:
    """The place of the last thing that the user said."""
    asked = [number for number, each in enumerate(messages) if each.role == "user"]
    if not asked:
        raise ValidationError("messages", "One message must be the user's")
    return asked[-1]


def _session_id(body: CompletionsBody, asker: Asker) -> str:
    """ValidationError."""
    for field, given in (
        ("x-session-id", asker.headers.get("x-session-id")),
        ("metadata.session_id", body.metadata.get("session_id")),
    ):
        if not isinstance(given, str | None):
            raise ValidationError(field, "Must be a text")
        if given:
            check_id(field, given)
            return given
    return ""


def _answers(body: CompletionsBody, texts: Sequence[str]) -> tuple[CallAnswer, ...]:
    """What came of the calls of the last answer, at the end of the list."""
    outputs: list[CallAnswer] = []
    for message, text in zip(reversed(body.messages), reversed(texts), strict=True):
        if message.role != "tool":
            break
        outputs.append(CallOutput(message.tool_call_id, text))
    approvals = (
        Approval(each.call_id, each.approved, each.arguments, each.reason, each.turn_id)
        for each in body.approvals
    )
    return (*reversed(outputs), *approvals)


def _transcript(
    messages: Sequence[CompletionMessage], texts: Sequence[str], user_id: str
) -> tuple[MessageDraft, ...]:
    """The conversation as the model is shown it: with each call what came of it."""
    drafts: list[MessageDraft] = []
    waiting: dict[str, JSONObject] = {}  # calls of the newest answer
    for number, (message, text) in enumerate(zip(messages, texts, strict=True)):
        if message.role == "tool":
            call = waiting.pop(message.tool_call_id, None)
            if call is None:
                raise ValidationError(f"messages.{number}.tool_call_id", "No call of this id waits before it")
            call["output"] = text
        elif message.role == "user":
            drafts.append(MessageDraft("user", text, author=user_id))
        elif message.role == "assistant":
            calls = [_call(f"messages.{number}.tool_calls", each) for each in message.tool_calls]
            waiting = {str(each["id"]): each for each in calls}
            drafts.append(_answer(text, calls))
    return tuple(drafts)


def _answer(text: str, calls: list[JSONObject]) -> MessageDraft:
    """An answer with calls said its text before them, as one that is still being given."""
    if not calls:
        return MessageDraft("assistant", text)
    return MessageDraft(
        "assistant", text, metadata={"tool_calls": cast("list[JSON]", calls)}, status="streaming"
    )


def _call(field: str, call: CompletionCall) -> JSONObject:
    called = call.function
    check_size(field, called.arguments, limit=OUTPUT_BYTES)
    return {
        "id": call.id,
        "name": called.name,
        "arguments": called.arguments,
        "output": None,
        "is_error": False,
    }


def _settings(body: CompletionsBody, texts: Sequence[str]) -> JSONObject:
    told = [text for each, text in zip(body.messages, texts, strict=True) if each.role in TOLD and text]
    given: JSONObject = {
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_tokens": body.max_completion_tokens or body.max_tokens,
        "system_prompt": "\n\n".join(told) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _options(body: CompletionsBody) -> ReplyOptions:
    wanted = body.response_format
    schema = wanted.json_schema if wanted else None
    if wanted and wanted.type == "json_schema" and schema is None:
        raise ValidationError("response_format.json_schema", "This field must be given")
    return ReplyOptions(
        stop=tuple(body.stop),
        seed=body.seed,
        tool_choice=_tool_choice(body.tool_choice),
        parallel_tool_calls=body.parallel_tool_calls,
        response_schema=ResponseSchema(schema.name, schema.schema_, strict=schema.strict)
        if schema and wanted and wanted.type == "json_schema"
        else None,
        json_object=wanted is not None and wanted.type == "json_object",
    )


def _tool_choice(choice: CompletionToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    if choice.type != "function":
        return ToolChoice(choice.type)
    if choice.function is None:
        raise ValidationError("tool_choice.function", "This field must be given")
    return ToolChoice("required", choice.function.name)


def _tools(tools: Sequence[CompletionTool]) -> tuple[ToolDefinition, ...]:
    names: set[str] = set()
    for number, each in enumerate(tools):
        if each.function.name in names:
            raise ValidationError(f"tools.{number}.function.name", "Two tools have this name")
        if each.function.parameters.get("type", "object") != "object":
            raise ValidationError(f"tools.{number}.function.parameters", "Must be the schema of an object")
        names.add(each.function.name)
    functions = [each.function for each in tools]
    return tuple(
        ToolDefinition(each.name, each.description, {"type": "object", "properties": {}, **each.parameters})
        for each in functions
    )


def _client(body: CompletionsBody) -> JSONObject:
    """What the encoder needs to know of the request."""
    names: list[JSON] = [each.function.name for each in body.tools]
    usage = body.stream_options.include_usage
    return {**({"own_tools": names} if names else {}), **({"usage": True} if usage else {})}
