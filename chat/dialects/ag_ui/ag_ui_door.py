"""What is asked at `POST /api/ag-ui`: a question, outputs of tools of the page, or answers to interrupts.

Clients send all that they show with each run. Of a thread that is there what is new counts, since the stored history
is the authority; what stands before the question of a new thread becomes its history.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from chat.calls import Approval, CallAnswer, CallOutput, ToolDefinition
from chat.dialects.ag_ui.ag_ui_input import STATE_BYTES, PageTool, ResumeEntry, RunAgentInput, RunMessage
from chat.dialects.approval_ids import split_approval_id
from chat.dialects.base import Asked, Asker
from chat.dialects.conversations import said
from chat.errors import ValidationError
from chat.events import JSONObject
from chat.messages import MessageDraft, Role
from chat.requests import TRIP, TRIP_STAGES, TurnRequest
from chat.schemas.fields import EMPTY, check_json_size, check_size, validate
from chat.schemas.trip_state import TripState

NAME = "ag-ui"
OUTPUT_BYTES = 64 * 1024  # of the output of one call
ROLES: Mapping[str, Role] = {
    "user": "user",
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
}


def read_run(body: RunAgentInput, asker: Asker) -> Asked:
    """ValidationError, TooLarge."""
    answers = _answers(body)
    content, history = "", ()
    if not answers:
        content, history = _question(body.messages, asker), _history(body.messages[:-1], asker)
    pipeline = _pipeline(body.forwarded_props)
    trip = _trip(body.state) if pipeline else None
    request = TurnRequest(
        asker.user_id,
        content=content,
        history=history,
        nonce=asker.nonce,
        tools=_tools(body.tools),
        pipeline=pipeline,
        input=trip.input if trip else {},
        dialect=NAME,
        client=_client(body, asker, pipeline),
    )
    return Asked(request, chat=body.thread_id, answers=tuple(answers))


def _answers(body: RunAgentInput) -> list[CallAnswer]:
    """What the calls that wait are answered with. TanStack AI says an approval twice, in an output as well."""
    approvals = [*_approvals(body.resume)]
    approved = {each.call_id for each in approvals}
    return [*approvals, *(each for each in _outputs(body.messages) if each.call_id not in approved)]


def _client(body: RunAgentInput, asker: Asker, pipeline: str) -> JSONObject:
    """What the encoder needs. TanStack AI names its run in a header, too."""
    client: JSONObject = {"thread": body.thread_id, "run": body.run_id}
    if body.parent_run_id:
        client["parent"] = body.parent_run_id
    if asker.headers.get("x-run-id"):
        client["tanstack"] = True
    beside = {name: value for name, value in _object(body.state).items() if name not in TRIP_STAGES}
    if pipeline and beside:
        client["state"] = _small(beside)
    return client


def _small(state: JSONObject) -> JSONObject:
    try:
        check_json_size(state, STATE_BYTES)
    except ValueError as error:
        raise ValidationError("state", str(error)) from None
    return state


def _question(messages: Sequence[RunMessage], asker: Asker) -> str:
    last = len(messages) - 1
    if last < 0 or messages[last].role != "user":
        raise ValidationError(
            "messages", "The last message must be the user's, or what a tool of the page answered"
        )
    field = f"messages.{last}.content"
    text = _whole_text(field, messages[last].content)
    check_size(field, text, limit=asker.message_bytes)
    if not text.strip():
        raise ValidationError(field, EMPTY)
    return text


def _history(messages: Sequence[RunMessage], asker: Asker) -> tuple[MessageDraft, ...]:
    """The texts of a conversation so far."""
    drafts: list[MessageDraft] = []
    for index, each in enumerate(messages):
        role, text = ROLES.get(each.role), text_of(each.content)
        if role is not None and text.strip():
            check_size(f"messages.{index}.content", text, limit=asker.message_bytes)
            drafts.append(said(role, text, asker))
    return tuple(drafts)


def _outputs(messages: Sequence[RunMessage]) -> list[CallAnswer]:
    """What tools answered, at the end of the list: after the last thing that somebody said."""
    found: list[CallAnswer] = []
    for index in range(len(messages) - 1, -1, -1):
        each = messages[index]
        if each.role in ("activity", "reasoning"):
            continue
        if each.role != "tool":
            break
        if not each.tool_call_id:
            raise ValidationError(f"messages.{index}.toolCallId", "This field must be given")
        text = _whole_text(f"messages.{index}.content", each.content) or each.error or ""
        check_size(f"messages.{index}.content", text, limit=OUTPUT_BYTES)
        found.append(CallOutput(each.tool_call_id, text, is_error=each.error is not None))
    return found[::-1]


def _approvals(resume: Sequence[ResumeEntry]) -> Iterator[CallAnswer]:
    """An interrupt that was cancelled is a no."""
    for each in resume:
        payload = _object(each.payload)
        approved = each.status == "resolved" and payload.get("approved", each.payload) is True
        arguments = payload.get("arguments", payload.get("editedArgs"))
        text = orjson.dumps(arguments).decode() if approved and isinstance(arguments, dict) else ""
        reason = payload.get("reason")
        turn_id, call_id = split_approval_id(each.interrupt_id)
        yield Approval(call_id, approved, text, reason if isinstance(reason, str) else "", turn_id)


def _pipeline(forwarded: object) -> str:
    name = _object(forwarded).get("pipeline") or ""
    if name not in ("", TRIP):
        raise ValidationError("forwardedProps.pipeline", f"Not one of {TRIP}")
    return str(name)


def _trip(state: object) -> TripState:
    try:
        return validate(TripState, _object(state))
    except ValidationError as error:
        raise ValidationError(f"state.{error.field}", error.message) from None


def _tools(tools: Sequence[PageTool]) -> tuple[ToolDefinition, ...]:
    names = [each.name for each in tools]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ValidationError(f"tools.{number}.name", "Two tools have this name")
    return tuple(ToolDefinition(each.name, each.description, each.parameters) for each in tools)


def text_of(content: object) -> str:
    """Of a message: its text, or those of its parts."""
    if isinstance(content, str):
        return content
    texts = (each.get("text") for each in _parts(content) if each.get("type") == "text")
    return "".join(each for each in texts if isinstance(each, str))


def _whole_text(field: str, content: object) -> str:
    """The same of what is new. ValidationError where that is not all of it."""
    if not isinstance(content, str | list | None):
        raise ValidationError(field, "Must be a text, or a list of parts")
    for place, each in enumerate(cast("list[object]", content) if isinstance(content, list) else ()):
        if not isinstance(each, dict):
            raise ValidationError(f"{field}.{place}", "Must be an object")
        part = _object(cast("object", each))
        if part.get("type") != "text":
            raise ValidationError(field, f"Parts of type {part.get('type')} are not taken")
        if not isinstance(part.get("text"), str):
            raise ValidationError(f"{field}.{place}.text", "Must be a text")
    return text_of(content)


def _parts(content: object) -> list[dict[str, Any]]:
    parts = cast("list[Any]", content) if isinstance(content, list) else []
    return [each for each in parts if isinstance(each, dict)]


def _object(value: object) -> JSONObject:
    return cast("JSONObject", value) if isinstance(value, dict) else {}
