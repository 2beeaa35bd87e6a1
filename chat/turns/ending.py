"""The last batch of a turn, made the same way by the runner that finishes it and by the sweeper that finds it dead."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from chat.events import NumberedEvent, TurnCancelled, TurnFailed, TurnFinished
from chat.messages import Message, Turn
from chat.store.base import TurnEnding
from chat.turns.stage_history import with_results
from chat.turns.tool_history import with_calls
from chat.turns.transcript import message_status, transcribe, turn_error, turn_state


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
        metadata=with_results(with_calls(placeholder.metadata, events), events),
    )
    follows = len(events) - len(unflushed)  # events are numbered from 1, without a hole
    return TurnEnding(turn=turn, ended=ended, events=tuple(unflushed), follows=follows, message=message)
