"""The items of a request's input: what was said before, the question, and what is said to calls that wait."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chat.calls import Approval, CallAnswer, CallOutput
from chat.dialects.responses.response_body import InputItem, Part
from chat.dialects.responses.response_calls import ASKS
from chat.errors import ValidationError
from chat.events import JSON, JSONObject
from chat.messages import MessageDraft
from chat.schemas.fields import EMPTY, check_size

TOLD = ("system", "developer")
"""Roles of what the model is told, beside the conversation."""
PASSED_OVER = ("reasoning", "mcp_list_tools", "mcp_approval_request")
"""Items of an output that clients send again, and that tell the model nothing."""
OUTPUT_BYTES = 64 * 1024  # of what came of one call


@dataclass(slots=True)
class _Said:
    """A message on its way to a draft. Calls come before its text, as the model is shown them."""

    role: str
    text: str = ""
    calls: list[JSONObject] = field(default_factory=list[JSONObject])

    def draft(self, user_id: str) -> MessageDraft:
        metadata: JSONObject = {"tool_calls": list[JSON](self.calls)} if self.calls else {}
        if self.role == "user":
            return MessageDraft("user", self.text, author=user_id)
        return MessageDraft("assistant", self.text, metadata=metadata)


@dataclass(slots=True)
class Input:
    """All of it."""

    told: list[str] = field(default_factory=list[str])
    said: list[_Said] = field(default_factory=list[_Said])
    answers: list[CallAnswer] = field(default_factory=list[CallAnswer])  # to calls that are not in the input

    @property
    def asks(self) -> bool:
        """Whether there is a question."""
        return any(each.role == "user" for each in self.said)

    @property
    def question(self) -> str:
        return self.said[self._place].text if self.asks else ""

    def before(self, user_id: str) -> tuple[MessageDraft, ...]:
        """What was said before the question."""
        return tuple(each.draft(user_id) for each in self.said[: self._place if self.asks else None])

    def whole(self, user_id: str) -> tuple[MessageDraft, ...]:
        """All that was said, as the model is shown it."""
        return tuple(each.draft(user_id) for each in self.said)

    def answer(self) -> MessageDraft | None:
        """The answer to the question so far; None where there is none."""
        after = self.said[self._place + 1 :] if self.asks else []
        if not after:
            return None
        calls: list[JSON] = [call for each in after for call in each.calls]
        text = "".join(each.text for each in after)
        return MessageDraft("assistant", text, metadata={"tool_calls": calls}, status="streaming")

    @property
    def calls_after(self) -> int:
        """How many calls of that answer there are."""
        return sum(len(each.calls) for each in self.said[self._place + 1 :]) if self.asks else 0

    @property
    def _place(self) -> int:
        """Of the question: the last that the user said."""
        return max(place for place, each in enumerate(self.said) if each.role == "user")


def read_input(items: Sequence[InputItem], *, limit: int) -> Input:
    """ValidationError names the item that cannot be carried; TooLarge over `limit` bytes in one message."""
    found = Input()
    for number, item in enumerate(items):
        _read(found, item, f"input.{number}", limit)
    return found


def _read(found: Input, item: InputItem, field: str, limit: int) -> None:
    match item.type:
        case "message":
            _read_message(found, item, field, limit)
        case "function_call" | "mcp_call":
            _read_call(found, item, field)
        case "function_call_output":
            _read_output(found, item, field)
        case "mcp_approval_response":
            _read_approval(found, item, field)
        case kind:
            if kind not in PASSED_OVER:
                raise ValidationError(f"{field}.type", "Items of this type cannot be carried")


def _read_message(found: Input, item: InputItem, field: str, limit: int) -> None:
    if item.content is None:
        raise ValidationError(f"{field}.content", "This field must be given")
    text = _text(item.content, f"{field}.content")
    check_size(f"{field}.content", text, limit=limit)
    match item.role:
        case "user" if not text.strip():
            raise ValidationError(f"{field}.content", EMPTY)
        case "user":
            found.said.append(_Said("user", text))
        case "assistant":
            _say(found, text)
        case role if role in TOLD:
            found.told.append(text)
        case _:
            raise ValidationError(f"{field}.role", "Must be 'user', 'assistant', 'system' or 'developer'")


def _say(found: Input, text: str) -> None:
    """What the model said after calls stands with them."""
    last = found.said[-1] if found.said else None
    if last is not None and last.role == "assistant" and last.calls and not last.text:
        last.text = text
    elif text:
        found.said.append(_Said("assistant", text))


def _read_call(found: Input, item: InputItem, field: str) -> None:
    """Calls of one reply stand together; those of the next one follow the outputs of the first."""
    if not item.name:
        raise ValidationError(f"{field}.name", "This field must be given")
    call_id = item.call_id or item.id
    if not call_id:
        raise ValidationError(f"{field}.call_id", "This field must be given")
    call: JSONObject = {"id": call_id, "name": item.name, "arguments": item.arguments}
    failed = item.type == "mcp_call" and item.error is not None
    output = _text(item.output, f"{field}.output") if item.output is not None else None
    check_size(f"{field}.output", output or "", limit=OUTPUT_BYTES)
    call |= {"output": str(item.error) if failed and output is None else output, "is_error": failed}
    last = found.said[-1] if found.said else None
    if last is None or last.role != "assistant" or last.text or any(_is_done(each) for each in last.calls):
        last = _Said("assistant")
        found.said.append(last)
    last.calls.append(call)


def _is_done(call: JSONObject) -> bool:
    return call["output"] is not None


def _read_output(found: Input, item: InputItem, field: str) -> None:
    if not item.call_id:
        raise ValidationError(f"{field}.call_id", "This field must be given")
    if item.output is None:
        raise ValidationError(f"{field}.output", "This field must be given")
    output = _text(item.output, f"{field}.output")
    check_size(f"{field}.output", output, limit=OUTPUT_BYTES)
    for each in reversed(found.said):
        for call in each.calls:
            if call["id"] == item.call_id and not _is_done(call):
                call["output"] = output
                return
    found.answers.append(CallOutput(item.call_id, output))


def _read_approval(found: Input, item: InputItem, field: str) -> None:
    if not item.approval_request_id.removeprefix(ASKS):
        raise ValidationError(f"{field}.approval_request_id", "This field must be given")
    if item.approve is None:
        raise ValidationError(f"{field}.approve", "This field must be given")
    call_id = item.approval_request_id.removeprefix(ASKS)
    found.answers.append(Approval(call_id, item.approve, reason=item.reason))


def _text(parts: Sequence[Part], field: str) -> str:
    """Parts of one message are one text."""
    texts: list[str] = []
    for number, part in enumerate(parts):
        text = part.refusal if part.type == "refusal" else part.text
        if part.type not in ("input_text", "output_text", "text", "summary_text", "refusal"):
            raise ValidationError(f"{field}.{number}.type", "Only text can be carried")
        if text is None:
            raise ValidationError(f"{field}.{number}.text", "This field must be given")
        texts.append(text)
    return "".join(texts)
