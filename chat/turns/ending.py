"""The last batch of a turn, made the same way by the runner that finishes it and by the sweeper that finds it dead."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chat.conversation import Turn
from chat.errors import ChatError, StoreRefused
from chat.events import JSONObject, NumberedEvent, TurnCancelled, TurnFailed, TurnFinished
from chat.messages import Message
from chat.store.turn_store import TurnEnding, TurnStore
from chat.telemetry import record
from chat.turns.stage_history import with_results
from chat.turns.tool_history import with_calls
from chat.turns.transcript import message_status, transcribe, turn_error, turn_state

CUT_OFF = ("length", "content_filter")


def make_ending(
    turn: Turn,
    placeholder: Message,
    *,
    events: Sequence[NumberedEvent],
    unflushed: Sequence[NumberedEvent],
    ended_at: datetime,
    response_time_ms: int | None,
) -> TurnEnding:
    """`events` is the whole turn with its terminal event last; `unflushed` its tail that is not stored yet."""
    terminal = events[-1].event
    assert isinstance(terminal, (TurnFinished, TurnFailed, TurnCancelled))
    said = transcribe(events)
    error = turn_error(terminal)
    ended = replace(
        turn,
        state=turn_state(terminal),
        ended_at=ended_at,
        last_event=events[-1].number,
        error=error,
        usage=said.usage,
        attempts=said.attempts,
    )
    message = replace(
        placeholder,
        content=said.text,
        updated_at=ended_at,
        status=message_status(terminal),
        llm_provider=said.provider or placeholder.llm_provider,
        llm_model=said.model or placeholder.llm_model,
        response_time_ms=response_time_ms,
        tokens_used=said.usage.total_tokens if said.usage else 0,
        error_message=error.message if error else "",
        metadata=_with_reason(with_results(with_calls(placeholder.metadata, events), events), said.reason),
    )
    follows = len(events) - len(unflushed)  # events are numbered from 1, without a hole
    return TurnEnding(turn=turn, ended=ended, events=tuple(unflushed), follows=follows, message=message)


def _with_reason(metadata: JSONObject, reason: str) -> JSONObject:
    """An answer that is not all that the model would have said tells why: `finish_reason` is then `length` or
    `content_filter`."""
    rest = {name: value for name, value in metadata.items() if name != "finish_reason"}
    return {**rest, "finish_reason": reason} if reason in CUT_OFF else rest


async def end_storably(store: TurnStore, ending: TurnEnding, placeholder: Message) -> tuple[TurnEnding, Turn]:
    """`TurnStore.end_turn`, with the ending that was stored. One that the store will never take would block its session
    for ever: it is written in another way, as a failure with the text and without what else was said of it; and without
    even that, should it be refused again."""
    try:
        return ending, await store.end_turn(ending)
    except StoreRefused as refused:
        record("ending_refused", turn_id=ending.turn.id, **refused.details)
        reduced = _reduced(ending, placeholder, refused)
    try:
        return reduced, await store.end_turn(reduced)
    except StoreRefused:
        least = replace(
            reduced, message=replace(reduced.message, content=""), events=reduced.events[-1:], follows=0
        )
        return least, await store.end_turn(least)


def _reduced(ending: TurnEnding, placeholder: Message, refused: StoreRefused) -> TurnEnding:
    last = ending.events[-1]
    failed = last.event if isinstance(last.event, TurnFailed) else failure(refused)
    error = turn_error(failed)
    ended = replace(
        ending.turn,
        state="failed",
        error=error,
        ended_at=ending.ended.ended_at,
        last_event=last.number,
        usage=ending.ended.usage,
    )
    message = replace(
        placeholder,
        content=ending.message.content,
        status=message_status(failed),
        updated_at=ending.message.updated_at,
        response_time_ms=ending.message.response_time_ms,
        error_message=error.message if error else "",
    )
    events = (*ending.events[:-1], last._replace(event=failed))
    return replace(ending, ended=ended, message=message, events=events)


def failure(error: BaseException) -> TurnFailed:
    """An error as the last event of a turn. The text of what is not ours to show goes to the log alone."""
    if not isinstance(error, ChatError):
        error = ChatError()
    retry_after = getattr(error, "retry_after", None)
    return TurnFailed(error.code, error.message, error.retryable, error.status, retry_after)
