"""One model call as events."""

from collections.abc import Iterable

from chat import events
from chat.errors import BadProviderReply
from chat.events import TurnEvent
from chat.providers.base import (
    AttemptLost,
    ModelChosen,
    ModelDelta,
    ReasoningPiece,
    ServiceOutputPiece,
    StopReason,
    TextPiece,
    ToolCallPiece,
    UsageReport,
)
from chat.tokens import TokenScale


class CallIds:
    """The ids of a turn's calls. By its id a call is answered: no two of a reply have the same, though services may use
    one twice, and a call of a tool in `distinct` has one that none of the conversation's calls in `used` has."""

    def __init__(self, used: Iterable[str] = (), distinct: Iterable[str] = ()) -> None:
        self._used, self._distinct = set(used), frozenset(distinct)
        self._in_reply: set[str] = set()

    def begin_reply(self) -> None:
        self._in_reply.clear()

    def of(self, given: str, name: str) -> str:
        """The id for a call of that tool to which the service gave this one."""
        taken = self._used if name in self._distinct else self._in_reply
        while given in taken:
            given += "_"
        self._in_reply.add(given)
        self._used.add(given)
        return given


class StepReader:
    """Turns the pieces of one model call into the events of one step."""

    def __init__(
        self,
        *,
        index: int,
        provider: str,
        prompt_tokens: int = 0,
        scale: TokenScale | None = None,
        ids: CallIds | None = None,
    ) -> None:
        self._index = index
        self._provider = provider
        self._prompt_tokens = prompt_tokens  # our estimate of what the step is asked
        self._scale = scale
        self._model = ""
        self._parts = 0
        self._part_id = ""
        self._open: type[TextPiece] | type[ReasoningPiece] | type[ToolCallPiece] | None = None
        self._call_index = -1
        self._ended_calls: set[int] = set()
        self._ids = ids or CallIds()
        self._ids.begin_reply()
        self._given: dict[str, str] = {}  # the ids of calls, by those that the service gave them
        self._usage: UsageReport | None = None
        self._reason = "stop"

    def read(self, piece: ModelDelta) -> Iterable[TurnEvent]:
        """The events that one piece amounts to."""
        match piece:
            case TextPiece(text):
                opening = () if self._open is TextPiece else self._begin(TextPiece)
                return (*opening, events.TextDelta(self._part_id, text))
            case ReasoningPiece(text):
                opening = () if self._open is ReasoningPiece else self._begin(ReasoningPiece)
                return (*opening, events.ReasoningDelta(self._part_id, text))
            case ToolCallPiece():
                return self._call(piece)
            case ServiceOutputPiece(call_id, name, output, is_error):
                ours = self._given.get(call_id, call_id)
                return (*self._end(), events.ToolOutput(ours, name, output, is_error))
            case ModelChosen(model, provider):
                return (
                    events.StepStarted(self._index, provider or self._provider, model, self._prompt_tokens),
                )
            case AttemptLost():
                return _lost(piece)
            case StopReason(reason):
                self._reason = reason
            case UsageReport(prompt_tokens):
                self._usage = piece
                if self._scale is not None:
                    self._scale.learn(self._model, estimated=self._prompt_tokens, reported=prompt_tokens)
        return ()

    @property
    def reason(self) -> str:
        """Why the reply ended."""
        return self._reason

    def close_part(self) -> Iterable[TurnEvent]:
        """The events that end what is open, so that outputs of tools may follow."""
        return self._end()

    def finish(self, *, failed: bool = False) -> Iterable[TurnEvent]:
        """The events that end the step; `failed` when the turn ends with it, for want of an answer."""
        yield from self._end()
        if self._usage is not None:
            yield events.UsageReported(self._usage.prompt_tokens, self._usage.completion_tokens)
        yield events.StepFinished("error" if failed else self._reason)

    def _begin(self, kind: type[TextPiece] | type[ReasoningPiece]) -> list[TurnEvent]:
        ending = self._end()
        self._part_id = f"{self._index}.{self._parts}"
        self._parts += 1
        self._open = kind
        started = events.TextStarted if kind is TextPiece else events.ReasoningStarted
        return [*ending, started(self._part_id)]

    def _call(self, piece: ToolCallPiece) -> list[TurnEvent]:
        said: list[TurnEvent] = []
        if piece.index in self._ended_calls:
            if piece.arguments:
                raise BadProviderReply("The model service mixed up the pieces of its tool calls.")
            return said
        if self._open is not ToolCallPiece or piece.index != self._call_index:
            said += self._end()
            self._open, self._call_index = ToolCallPiece, piece.index
            # Some services give none.
            self._part_id = self._ids.of(piece.id or f"call_{self._index}_{piece.index}", piece.name)
            self._given[piece.id] = self._part_id
            said.append(events.ToolCallStarted(self._part_id, piece.name))
        if piece.arguments:
            said.append(events.ToolCallDelta(self._part_id, piece.arguments))
        return said

    def _end(self) -> list[TurnEvent]:
        kind, self._open = self._open, None
        if kind is None:
            return []
        if kind is TextPiece:
            return [events.TextFinished(self._part_id)]
        if kind is ReasoningPiece:
            return [events.ReasoningFinished(self._part_id)]
        self._ended_calls.add(self._call_index)
        return [events.ToolCallFinished(self._part_id)]


def _lost(lost: AttemptLost) -> list[TurnEvent]:
    failed = events.AttemptFailed(
        lost.provider,
        lost.model,
        lost.code,
        lost.seconds,
        lost.wait,
        lost.prompt_tokens,
        lost.completion_tokens,
    )
    return (
        [failed, events.ProviderSwitched(lost.next_provider, lost.code)] if lost.next_provider else [failed]
    )
