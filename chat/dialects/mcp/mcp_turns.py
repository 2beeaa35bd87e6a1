"""A turn as the answer to a call of the tool `ask`: progress while it runs, one result at its end."""

from collections.abc import Iterator, Sequence

import orjson

from chat.calls import CallReader, ToolCall
from chat.conversation import Turn
from chat.dialects.base import Reply
from chat.events import (
    JSON,
    ApprovalRequested,
    JSONObject,
    NumberedEvent,
    Progress,
    StageFinished,
    StageStarted,
    StepStarted,
    TextDelta,
    ToolCallStarted,
    ToolOutput,
    TurnCancelled,
    TurnEvent,
    TurnFailed,
    TurnFinished,
    TurnStarted,
)
from chat.schemas.json_rpc import show_result, show_tool_result
from chat.schemas.mcp_bodies import show_waiting

PIECE = 400  # characters of an answer, after each of which there is a word of progress

APPROVAL = (
    "It ended with a call of {name} that needs an approval: {call_id}, with {arguments}. That cannot be given here."
    " Somebody who may write in the conversation gives it in another client, or with"
    " POST /api/v1/chat/sessions/{conversation_id}/turns, as"
    ' {{"approvals": [{{"call_id": "{call_id}", "approved": true}}]}}.'
    " The tool get_conversation shows whether it waits still, and what came of it."
)
OUTPUT = (
    "It ended with a call of {name}, {call_id}, with {arguments}. The client that brought this tool runs it, and says"
    " there what came of it. The tool get_conversation shows whether it waits still, and what came of it."
)
"""What a model is told of a call that waits, of which clients of this protocol can only tell somebody."""


class McpTurn:
    """What a turn comes to, read from its events."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._texts: list[str] = []
        self._reader = CallReader()
        self._waiting: dict[str, ToolCall] = {}  # calls without an output
        self._asking: set[str] = set()  # those that wait for somebody's approval
        self._end: TurnEvent | None = None
        self.size = 0  # characters of the answer

    @property
    def ended(self) -> bool:
        return self._end is not None

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def take(self, event: TurnEvent) -> None:
        match event:
            case TextDelta(_, text) | StageFinished(text=text):
                self._texts.append(text)
                self.size += len(text)
            case ApprovalRequested(call_id):
                self._asking.add(call_id)
            case ToolOutput(call_id):
                self._waiting.pop(call_id, None)
            case TurnFinished() | TurnFailed() | TurnCancelled():
                self._end = event
            case _:
                if (call := self._reader.take(event)) is not None:
                    self._waiting[call.id] = call

    def result(self) -> JSONObject:
        """As far as it got."""
        text = self.text
        match self._end:
            case None:
                note = f"The answer is not ready. Call ask with turn_id {self._turn.id} to wait for it."
                return self._shown(note, state="running")
            case TurnFailed(code, message, retryable):
                failure: JSONObject = {"code": code, "message": message, "retryable": retryable}
                return self._shown(f"{code}: {message}", state="failed", error=failure)
            case TurnCancelled():
                return self._shown(text, "The answer was stopped.", state="cancelled")
            case _:
                return self._shown(text, *map(self._told, self._waiting.values()), state="finished")

    def _told(self, call: ToolCall) -> str:
        words = APPROVAL if call.id in self._asking else OUTPUT
        return words.format(
            name=call.name,
            call_id=call.id,
            arguments=call.arguments or "{}",
            conversation_id=self._turn.session_id,
        )

    def _shown(self, *texts: str, state: str, error: JSONObject | None = None) -> JSONObject:
        waiting: list[JSON] = [
            show_waiting(call.id, call.name, call.arguments, needs_approval=call.id in self._asking)
            for call in self._waiting.values()
        ]
        said: JSONObject = {
            "conversation_id": self._turn.session_id,
            "turn_id": self._turn.id,
            "state": state,
            "text": self.text,
        }
        said |= {"waiting": waiting} if waiting and state == "finished" else {}
        said |= {"error": error} if error else {}
        told = [each for each in texts if each]  # some models take no text that is empty
        return show_tool_result(*told, structured=said, is_error=error is not None)


class McpEncoder:
    """Progress for whoever gave a token, then the answer to a request. Which request that is stands in what the turn
    keeps of its client: `id`, `token` and `modern`, where a result says that it is whole."""

    def __init__(self, turn: Turn) -> None:
        client = turn.request.client
        self._read = McpTurn(turn)
        self._rpc_id, self._token = client.get("id", turn.id), client.get("token", turn.id)
        self._modern = bool(client.get("modern"))
        self._pieces = 0

    def encode(self, numbered: NumberedEvent) -> Iterator[JSONObject]:
        number, event = numbered
        self._read.take(event)
        if self._read.ended:
            yield self.reply()
        elif self._token is not None and number and (message := self._news(event)):
            yield self._progress(number, message, event)

    def reply(self) -> JSONObject:
        """The answer as far as the turn got."""
        result = self._read.result()
        return show_result(self._rpc_id, {**result, "resultType": "complete"} if self._modern else result)

    def _progress(self, number: int, message: str, event: TurnEvent) -> JSONObject:
        params: JSONObject = {"progressToken": self._token, "progress": number, "message": message}
        if isinstance(event, TurnStarted):
            params["_meta"] = {"conversation_id": event.session_id, "turn_id": event.turn_id}
        return {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}

    def _news(self, event: TurnEvent) -> str:
        match event:
            case TurnStarted(turn_id, session_id):
                return f"The turn {turn_id} of the conversation {session_id} began"
            case StageStarted(stage):
                return f"Stage {stage}"
            case Progress(percent):
                return f"{percent} %"
            case StepStarted(model=model):
                return f"{model} answers"
            case ToolCallStarted(_, name):
                return f"Calls {name}"
            case ToolOutput(_, name, is_error=is_error):
                return f"{name} failed" if is_error else f"{name} answered"
            case TextDelta() if self._read.size // PIECE > self._pieces:
                self._pieces = self._read.size // PIECE
                return f"{self._read.size} characters"
            case _:
                return ""


def whole(turn: Turn, seen: Sequence[NumberedEvent]) -> Reply:
    """The answer as far as the turn got."""
    encoder = McpEncoder(turn)
    for numbered in seen:
        for _ in encoder.encode(numbered):
            pass
    return Reply(200, orjson.dumps(encoder.reply()), {"content-type": "application/json"})
