"""A turn as the events of a streamed response. The number of each is its place, counted from 0.

One number is no place: that of `response.failed` where the process that made the turn died. Its follower may have seen
more than was stored, and what ends the stream has to come after all of that.
"""

from collections.abc import Iterable, Iterator

from chat.conversation import Turn
from chat.dialects.openai_errors import status_of
from chat.dialects.responses.response_calls import CallItems
from chat.dialects.responses.response_object import (
    asked_of,
    error_of,
    frame_of,
    message_item,
    reasoning_item,
    text_part,
    usage_of,
)
from chat.dialects.responses.response_output import Output
from chat.errors import Interrupted
from chat.events import (
    JSON,
    TERMINAL_NUMBER,
    AttemptFailed,
    JSONObject,
    NumberedEvent,
    ReasoningDelta,
    ReasoningFinished,
    ReasoningStarted,
    StageFinished,
    StageStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    ToolCallDelta,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
    UsageReported,
)
from chat.tokens import estimate_tokens

ENDS = ("response.completed", "response.incomplete", "response.failed")
CUT_OFF = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesEncoder:
    """Keeps what the response says so far, since its last event shows all of it."""

    def __init__(self, turn: Turn) -> None:
        asked = asked_of(turn)
        self._frame = frame_of(turn)
        self._model = str(asked.get("model") or "default")
        self._began = False  # the model was asked
        self._output = Output(turn.id)
        self._calls = CallItems(self._output, turn.request)
        self._pieces: list[str] = []  # of the part that is open
        self._item_id = ""
        self._index = 0
        self._usage = _Usage()
        self._reason = ""
        self._number = 0

    def encode(self, numbered: NumberedEvent) -> Iterable[JSONObject]:
        event = numbered.event
        if isinstance(event, TextDelta):  # first, for speed: most events are
            self._pieces.append(event.text)
            number, self._number = self._number, self._number + 1
            return (
                {
                    "type": "response.output_text.delta",
                    "item_id": self._item_id,
                    "output_index": self._index,
                    "content_index": 0,
                    "delta": event.text,
                    "logprobs": [],
                    "sequence_number": number,
                },
            )
        if numbered.number == 0:
            return self._broken(event)
        return [self._numbered(payload) for payload in self._payloads(event)]

    def response(self) -> JSONObject:
        """The response so far."""
        return self._response("in_progress" if self._began else "queued")

    def _numbered(self, payload: JSONObject) -> JSONObject:
        number, self._number = self._number, self._number + 1
        return {**payload, "sequence_number": payload.get("sequence_number", number)}

    def _broken(self, event: TurnEvent) -> Iterable[JSONObject]:
        """The stream ends, and the turn may go on: whoever saw this comes back for what follows the event before."""
        if not isinstance(event, TurnFailed):
            return ()
        said: JSONObject = {"code": event.code.lower(), "message": event.message, "param": None}
        return ({"type": "error", **said, "sequence_number": max(self._number - 1, 0)},)

    def _payloads(self, event: TurnEvent) -> Iterable[JSONObject]:
        self._usage.note(event)
        match event:
            case TurnStarted():
                return self._started()
            case StepStarted(_, _, model):
                self._began, self._model = True, model or self._model
            case StageStarted():
                self._began = True
            case TextStarted():
                return self._text_started()
            case TextFinished():
                return self._text_finished()
            case ReasoningStarted():
                return self._reasoning_started()
            case ReasoningDelta(_, text):
                self._pieces.append(text)
                return (self._summary("text.delta", delta=text),)
            case ReasoningFinished():
                return self._reasoning_finished()
            case StageFinished(_, _, text) if text:
                return self._whole_text(text)
            case StepFinished(reason):
                self._reason = reason
                return self._calls.payloads(event)
            case TurnFinished() | TurnCancelled() | TurnFailed():
                return (self._end(event),)
            case _:
                return self._calls.payloads(event)
        return ()

    def _started(self) -> Iterator[JSONObject]:
        for kind in ("created", "in_progress"):
            yield {"type": f"response.{kind}", "response": self._response("in_progress")}

    def _whole_text(self, text: str) -> Iterator[JSONObject]:
        """What a stage adds to the answer."""
        yield from self._text_started()
        self._pieces.append(text)
        yield self._part("output_text.delta", delta=text, logprobs=[])
        yield from self._text_finished()

    def _text_started(self) -> Iterator[JSONObject]:
        yield self._open("msg", message_item("", (), "in_progress"))
        yield self._part("content_part.added", part=text_part(""))

    def _text_finished(self) -> Iterator[JSONObject]:
        text = "".join(self._pieces)
        self._usage.said.append(text)
        yield self._part("output_text.done", text=text, logprobs=[])
        yield self._part("content_part.done", part=text_part(text))
        item = message_item(self._item_id, [text_part(text)], "completed")
        yield self._output.done(self._index, item)

    def _reasoning_started(self) -> Iterator[JSONObject]:
        yield self._open("rs", reasoning_item("", (), "in_progress"))
        yield self._summary("part.added", part={"type": "summary_text", "text": ""})

    def _reasoning_finished(self) -> Iterator[JSONObject]:
        text = "".join(self._pieces)
        self._usage.said.append(text)
        yield self._summary("text.done", text=text)
        yield self._summary("part.done", part={"type": "summary_text", "text": text})
        yield self._output.done(self._index, reasoning_item(self._item_id, [text], "completed"))

    def _open(self, kind: str, item: JSONObject) -> JSONObject:
        self._pieces = []
        self._index, self._item_id, added = self._output.add(kind, item)
        return added

    def _part(self, kind: str, **more: JSON) -> JSONObject:
        place: JSONObject = {"item_id": self._item_id, "output_index": self._index, "content_index": 0}
        return {"type": f"response.{kind}", **place, **more}

    def _summary(self, kind: str, **more: JSON) -> JSONObject:
        place: JSONObject = {"item_id": self._item_id, "output_index": self._index, "summary_index": 0}
        return {"type": f"response.reasoning_summary_{kind}", **place, **more}

    def _end(self, event: TurnFinished | TurnCancelled | TurnFailed) -> JSONObject:
        match event:
            case TurnFailed(code, message, _, status):
                response = self._response("failed", error=error_of(code, message, status_of(code, status)))
                number: JSONObject = {"sequence_number": TERMINAL_NUMBER} if code == Interrupted.code else {}
                return {"type": "response.failed", "response": response, **number}
            case TurnCancelled():
                return {"type": "response.incomplete", "response": self._response("cancelled")}
            case TurnFinished() if self._reason in CUT_OFF:
                why: JSONObject = {"reason": CUT_OFF[self._reason]}
                response = self._response("incomplete", incomplete_details=why)
                return {"type": "response.incomplete", "response": response}
            case TurnFinished():
                return {"type": "response.completed", "response": self._response("completed")}

    def _response(self, status: str, **more: JSON) -> JSONObject:
        ended = status not in ("queued", "in_progress")
        return {
            **self._frame,
            "status": status,
            "model": self._model,
            "output": list[JSON](self._so_far()),
            "error": None,
            "incomplete_details": None,
            "usage": self._usage.shown() if ended else None,
            **more,
        }

    def _so_far(self) -> Iterator[JSONObject]:
        """The items, the one that is open with what it says already."""
        for place, item in enumerate(self._output.items):
            is_open = item.get("status") == "in_progress" and place == self._index and self._pieces
            text = "".join(self._pieces) if is_open else ""
            if is_open and item["type"] == "message":
                yield message_item(self._item_id, [text_part(text)], "in_progress")
            elif is_open and item["type"] == "reasoning":
                yield reasoning_item(self._item_id, [text], "in_progress")
            else:
                yield item


class _Usage:
    """Tokens of a turn: as the service reports them, or else estimated, as the turn itself counts them."""

    def __init__(self) -> None:
        self.said: list[str] = []  # in the step whose usage is not known yet
        self._estimate: int | None = None  # of that step's prompt
        self._prompt = self._completion = 0

    def note(self, event: TurnEvent) -> None:
        match event:
            case StepStarted(_, _, _, prompt_tokens):
                self._estimate, self.said = prompt_tokens, []
            case ToolCallDelta(_, arguments):
                self.said.append(arguments)
            case AttemptFailed():
                self._count(event.prompt_tokens, event.completion_tokens)
            case UsageReported(prompt, completion):
                self._estimate = None
                self._count(prompt, completion)
            case StepFinished() if self._estimate is not None:
                self._count(self._estimate, estimate_tokens("".join(self.said)))
                self._estimate = None
            case _:
                pass

    def shown(self) -> JSONObject:
        return usage_of(self._prompt, self._completion)

    def _count(self, prompt: int, completion: int) -> None:
        self._prompt, self._completion = self._prompt + prompt, self._completion + completion
