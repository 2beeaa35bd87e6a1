"""What a request for a response asks for. What it asks for and cannot be done is refused by name."""

from collections.abc import Sequence

import orjson

from chat.calls import Approval, CallOutput, ToolDefinition
from chat.conversation import HIDDEN
from chat.dialects.base import Asked, Asker
from chat.dialects.responses.response_body import FunctionTool, ResponsesBody
from chat.dialects.responses.response_input import Input, read_input
from chat.dialects.responses.response_object import NAME, response_id, turn_id_of
from chat.errors import ValidationError
from chat.events import JSON, JSONObject
from chat.reply_options import ReplyOptions, ResponseSchema, ToolChoice, ToolMode
from chat.requests import TurnRequest
from chat.schemas.fields import check_size

SHOWN_BYTES = 8 * 1024  # of each field that a response says again of its request
MOST_TOKENS = 1_000_000
LOGPROBS = "message.output_text.logprobs"
FORMATS = ("text", "json_object", "json_schema")
CHOICES: tuple[ToolMode, ...] = ("auto", "none", "required")


def read_body(body: ResponsesBody, asker: Asker) -> Asked:
    """ValidationError, TooLarge."""
    _check(body)
    check_size("instructions", body.instructions or "", limit=asker.message_bytes)
    said = read_input(body.input, limit=asker.message_bytes)
    _check_input(body, said)
    user_id, tools = asker.user_id, _tools(body)
    request = TurnRequest(
        user_id,
        content=said.question,
        session_id=body.conversation.id if body.conversation else "",
        history=said.before(user_id) if body.store else (),
        transcript=() if body.store else said.whole(user_id),
        continued=said.answer() if body.store else None,
        nonce=asker.nonce,
        settings=_settings(body, said),
        options=_options(body),
        provider=asker.models.get(body.model, ""),
        tools=tools,
        dialect=NAME,
        client=_client(body, said, asker.tools),
    )
    return Asked(
        request,
        stream=body.stream,
        after=turn_id_of(body.previous_response_id or ""),
        answers=tuple(said.answers),
        stateless=not body.store,
        waits=not body.background,
    )


def _check(body: ResponsesBody) -> None:
    if body.background and not body.store:
        raise ValidationError("background", "A response that is made in the background has to be stored")
    if body.conversation and body.previous_response_id:
        raise ValidationError("conversation", "Cannot be given together with previous_response_id")
    if body.conversation and not body.store:
        raise ValidationError("store", "A conversation keeps what is said in it")
    if body.prompt is not None:
        raise ValidationError("prompt", "There are no stored prompts here: send instructions and input")
    if body.top_logprobs:
        raise ValidationError("top_logprobs", "Probabilities of tokens are not known here")
    if LOGPROBS in body.include:
        raise ValidationError("include", "Probabilities of tokens are not known here")
    if body.text.format.type not in FORMATS:
        raise ValidationError("text.format.type", f"Must be one of {', '.join(FORMATS)}")


def _options(body: ResponsesBody) -> ReplyOptions:
    wanted = body.text.format
    schema = ResponseSchema(wanted.name, wanted.schema_, strict=bool(wanted.strict))
    return ReplyOptions(
        tool_choice=_tool_choice(body),
        parallel_tool_calls=body.parallel_tool_calls,
        response_schema=schema if wanted.type == "json_schema" else None,
        json_object=wanted.type == "json_object",
    )


def _tool_choice(body: ResponsesBody) -> ToolChoice | None:
    choice = body.tool_choice
    for mode in CHOICES:
        if choice.type == mode:
            return ToolChoice(mode) if mode != "auto" else None
    if choice.type == "function" and choice.name:
        return ToolChoice("required", choice.name)
    raise ValidationError("tool_choice", f"Must be one of {', '.join(CHOICES)}, or a function by its name")


def _check_input(body: ResponsesBody, said: Input) -> None:
    goes_on = bool(body.conversation or body.previous_response_id)
    if said.answers and not goes_on:
        raise ValidationError("input", f"No call {said.answers[0].call_id} stands before what came of it")
    if not said.asks and not said.answers:
        raise ValidationError("input", "There must be a message of the user's, or what came of a call")
    if body.conversation and (said.answers if said.asks else said.said):
        raise ValidationError(
            "input", "In a conversation a request brings one message, or what came of calls"
        )
    if body.conversation and (said.before("") or said.answer()):
        raise ValidationError("input", "Of a conversation only the newest message is sent")


def _tools(body: ResponsesBody) -> tuple[ToolDefinition, ...]:
    """The caller's."""
    names: set[str] = set()
    for number, tool in enumerate(body.tools):
        if tool.type != "function":
            raise ValidationError(f"tools.{number}.type", "Only tools of type function can be carried")
        if not tool.name:
            raise ValidationError(f"tools.{number}.name", "This field must be given")
        if tool.name in names:
            raise ValidationError(f"tools.{number}.name", "Two tools have this name")
        if tool.parameters.get("type", "object") != "object":
            raise ValidationError(f"tools.{number}.parameters", "Must be the schema of an object")
        names.add(tool.name)
    return tuple(ToolDefinition(each.name or "", each.description, _schema(each)) for each in body.tools)


def _schema(tool: FunctionTool) -> JSONObject:
    return {"type": "object", "properties": {}, **tool.parameters}


def _settings(body: ResponsesBody, said: Input) -> JSONObject:
    """Of this turn. What system and developer messages say counts as instructions do: for the request that has
    them."""
    told = "\n\n".join(each for each in (body.instructions, *said.told) if each)
    most = body.max_output_tokens
    given: JSONObject = {"system_prompt": told or None, "temperature": body.temperature, "top_p": body.top_p}
    given["max_tokens"] = min(most, MOST_TOKENS) if most else None
    return {name: value for name, value in given.items() if value is not None}


def _client(body: ResponsesBody, said: Input, ours: Sequence[ToolDefinition]) -> JSONObject:
    """What the response says again, and which calls are whose."""
    shown: JSONObject = {
        "model": body.model,
        "store": body.store,
        HIDDEN: None if body.store else True,
        "background": body.background,
        "conversation": {"id": body.conversation.id} if body.conversation else None,
        "previous_response_id": _previous(body),
        "instructions": _kept(body.instructions, None),
        "metadata": dict[str, JSON](body.metadata),
        "tools": _kept(_shown_tools(body, whole=True), _shown_tools(body, whole=False)),
        "tool_choice": _shown_choice(body),
        "text": _kept(_shown_text(body), {"format": {"type": body.text.format.type}}),
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_output_tokens": body.max_output_tokens,
        "truncation": body.truncation,
        "reasoning": _kept(body.reasoning, None),
        "parallel_tool_calls": body.parallel_tool_calls,
        "user": body.user,
        "own_tools": [each.name for each in body.tools],
        "asking_tools": [each.name for each in ours if each.needs_approval],
        "given": len(said.before("")),
        "asks": said.asks,
        "tail": said.calls_after,
        "answered": [each.call_id for each in said.answers if isinstance(each, CallOutput)],
        "approvals": [
            {"call_id": each.call_id, "approve": each.approved, "reason": each.reason}
            for each in said.answers
            if isinstance(each, Approval)
        ],
    }
    return {name: value for name, value in shown.items() if value is not None and value not in ([], {})}


def _previous(body: ResponsesBody) -> str | None:
    given = body.previous_response_id
    return response_id(turn_id_of(given)) if given else None


def _kept(value: JSON, otherwise: JSON) -> JSON:
    """A value that is small enough to be kept with the turn and shown with each of its states."""
    return value if len(orjson.dumps(value)) <= SHOWN_BYTES else otherwise


def _shown_tools(body: ResponsesBody, *, whole: bool) -> list[JSON]:
    return [
        {
            "type": "function",
            "name": each.name,
            "description": each.description if whole else "",
            "parameters": each.parameters if whole else {},
            "strict": bool(each.strict),
        }
        for each in body.tools
    ]


def _shown_choice(body: ResponsesBody) -> JSON:
    choice = body.tool_choice
    return {"type": choice.type, "name": choice.name} if choice.name else choice.type


def _shown_text(body: ResponsesBody) -> JSON:
    given = body.text.format
    if given.type != "json_schema":
        return {"format": {"type": given.type}}
    schema: JSONObject = {"name": given.name, "schema": given.schema_, "strict": bool(given.strict)}
    return {"format": {"type": "json_schema", **schema}}
