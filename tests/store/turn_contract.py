"""The rules of `TurnStore`, as a suite like those of `contract.py`."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chat.conversation import Session, TurnError
from chat.errors import (
    MessageNotFound,
    TurnInProgress,
    TurnNotFound,
    VersionConflict,
)
from chat.events import TERMINAL_NUMBER, NumberedEvent, TurnFailed
from chat.requests import TurnRequest
from chat.store.turn_store import StartedTurn
from tests.store.builders import (
    IDS,
    NOW,
    PLANES,
    Stores,
    deltas,
    ending,
    new_session,
    new_turn,
    said,
    terminal,
    turn_draft,
)


class TurnStoreContract:
    async def test_a_start_stores_the_message_the_placeholder_and_the_turn(self, store: Stores) -> None:
        session = await new_session(store, "before", llm_model="m")
        asked: dict[str, Any] = {"input": {"done": {}}, "client": {"usage": True}, "dialect": "plan"}
        asked["on_behalf_of"] = "bob"
        started = await store.turns.start_turn(turn_draft(session, "Why?", pipeline="p", **asked))
        messages = await store.conversations.list_messages("ann", session.id, limit=9)
        assert messages[1:] == [started.user_message, started.assistant_message]
        assert [(each.content, each.status) for each in messages[1:]] == [
            ("Why?", "complete"),
            ("", "streaming"),
        ]
        assert started.turn.id == started.assistant_message.id
        assert started.turn == await store.turns.get_turn("ann", started.turn.id)
        assert started.turn.request == TurnRequest("ann", pipeline="p", **asked)
        assert started.assistant_message.llm_model == "m"

    async def test_a_start_marks_the_session_as_busy(self, store: Stores) -> None:
        started = await new_turn(store)
        stored = await store.conversations.get_session("ann", started.session.id)
        assert stored == started.session
        assert (stored.running_turn, stored.last_seq, stored.title) == (started.turn.id, 2, "Hello")

    async def test_a_start_can_answer_a_stored_message(self, store: Stores) -> None:
        session = await new_session(store, "one", "two")
        started = await store.turns.start_turn(turn_draft(session, message_id=f"{session.id}-00000001"))
        assert started.user_message.content == "one"
        assert started.turn.user_message_id == f"{session.id}-00000001"
        assert started.turn.id == f"{session.id}-00000003"

    async def test_a_start_that_answers_no_stored_message_is_refused(self, store: Stores) -> None:
        session = await new_session(store)
        with pytest.raises(MessageNotFound):
            await store.turns.start_turn(turn_draft(session, message_id=f"{session.id}-00000007"))
        assert (await store.conversations.get_session("ann", session.id)).running_turn == ""

    @pytest.mark.parametrize("length", [0, 2, 200])
    async def test_a_start_can_make_its_session_with_a_history(self, store: Stores, length: int) -> None:
        history = tuple(said(f"old {number}") for number in range(length))
        fresh = Session(IDS.new(), "ann", "", NOW, NOW, llm_model="m")
        turn = turn_draft(fresh, "new", new=True, history=history)
        started = await store.turns.start_turn(turn)
        assert started == await store.turns.start_turn(turn)
        messages = await store.conversations.list_messages("ann", fresh.id, limit=999)
        assert [each.content for each in messages] == [each.content for each in history] + ["new", ""]
        assert (await store.conversations.list_sessions("ann", limit=5)).items == (started.session,)
        assert started.session.llm_model == "m"

    async def test_a_second_start_finds_the_turn_in_progress(self, store: Stores) -> None:
        started = await new_turn(store)
        with pytest.raises(TurnInProgress) as caught:
            await store.turns.start_turn(turn_draft(started.session, nonce="n2"))
        assert caught.value.turn_id == started.turn.id

    async def test_a_start_with_the_same_nonce_gives_what_landed(self, store: Stores) -> None:
        session = await new_session(store)
        started = await store.turns.start_turn(turn_draft(session))
        assert await store.turns.start_turn(turn_draft(session)) == started
        assert (await store.conversations.get_session("ann", session.id)).last_seq == 2

    async def test_a_start_whose_window_is_out_of_date_is_refused(self, store: Stores) -> None:
        session = await new_session(store)
        await store.conversations.append_messages("ann", session.id, [said("late")])
        with pytest.raises(VersionConflict):
            await store.turns.start_turn(turn_draft(session))

    async def test_a_start_goes_through_when_only_other_things_changed(self, store: Stores) -> None:
        first = await new_turn(store)
        await store.turns.end_turn(ending(first))
        started = await store.turns.start_turn(turn_draft(first.session, nonce="n2"))
        assert started.turn.id == f"{first.session.id}-00000004"

    async def test_of_many_starts_exactly_one_wins(self, store: Stores) -> None:
        session = await new_session(store)
        calls = [store.turns.start_turn(turn_draft(session, nonce=f"n{number}")) for number in range(20)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(each, StartedTurn) for each in outcomes) == 1
        assert sum(isinstance(each, TurnInProgress) for each in outcomes) == 19

    @pytest.mark.parametrize("identifier", ["", "x", "a/b-00000001", "'-00000001", "x-00000001"])
    async def test_a_turn_that_does_not_exist_is_not_found(self, store: Stores, identifier: str) -> None:
        for call in (store.turns.load_turn(identifier), store.turns.get_turn("ann", identifier)):
            with pytest.raises(TurnNotFound):
                await call

    async def test_events_are_read_back_in_order_from_any_number(self, store: Stores) -> None:
        turn = (await new_turn(store)).turn
        assert await store.turns.read_events(turn) == []
        await store.turns.append_events(turn, deltas(1, 3))
        await store.turns.append_events(turn, deltas(4, 4))
        assert await store.turns.read_events(turn) == deltas(1, 4)
        assert await store.turns.read_events(turn, after=2) == deltas(3, 4)
        assert await store.turns.read_events(turn, after=4) == []

    async def test_events_appended_twice_are_stored_once(self, store: Stores) -> None:
        turn = (await new_turn(store)).turn
        await store.turns.append_events(turn, deltas(1, 3))
        await store.turns.append_events(turn, deltas(1, 3))
        await store.turns.append_events(turn, deltas(1, 5))
        assert await store.turns.read_events(turn) == deltas(1, 5)

    @pytest.mark.parametrize(("count", "size"), [(1, 200_000), (100, 5_000), (3, 150_000), (1_000, 3_000)])
    async def test_events_of_any_size_are_stored(self, store: Stores, count: int, size: int) -> None:
        turn = (await new_turn(store)).turn
        events = deltas(1, count, (PLANES * (size // len(PLANES) + 1))[:size])
        await store.turns.append_events(turn, events)
        assert await store.turns.read_events(turn) == events

    async def test_the_events_of_one_turn_are_not_those_of_another(self, store: Stores) -> None:
        first = await new_turn(store)
        await store.turns.append_events(first.turn, deltas(1, 2))
        await store.turns.end_turn(ending(first))
        second = await store.turns.start_turn(turn_draft(first.session, nonce="n2"))
        assert await store.turns.read_events(second.turn) == []

    async def test_the_end_stores_events_message_turn_and_frees_the_session(self, store: Stores) -> None:
        started = await new_turn(store)
        await store.turns.append_events(started.turn, deltas(1, 2))
        end = ending(started, "Answer")
        ended = await store.turns.end_turn(end)
        assert replace(ended, version="") == replace(end.ended, version="")
        assert await store.turns.load_turn(ended.id) == ended
        assert await store.conversations.get_message("ann", ended.id) == end.message
        assert await store.turns.read_events(ended) == [*deltas(1, 2), terminal()]
        session = await store.conversations.get_session("ann", started.session.id)
        assert (session.running_turn, session.updated_at) == ("", end.ended.ended_at)

    async def test_an_end_with_an_error_and_attempts_is_read_back(self, store: Stores) -> None:
        error = TurnError("MODEL_ERROR", "It broke", retryable=True)
        attempts = ({"provider": "AZURE", "ok": False}, {"provider": "X", "ms": 12.5})
        started = await new_turn(store)
        end = ending(started, state="failed", error=error, attempts=attempts, usage=None, last_event=7)
        ended = await store.turns.end_turn(end)
        assert (ended.error, ended.attempts, ended.usage, ended.last_event) == (error, attempts, None, 7)
        assert await store.turns.load_turn(ended.id) == ended

    async def test_a_repeated_end_is_success(self, store: Stores) -> None:
        started = await new_turn(store)
        ended = await store.turns.end_turn(ending(started))
        assert await store.turns.end_turn(ending(started)) == ended

    @pytest.mark.parametrize("size", [1, 50_000])
    async def test_an_end_that_comes_second_gets_the_first_and_writes_nothing(
        self, store: Stores, size: int
    ) -> None:
        started = await new_turn(store)
        first = await store.turns.end_turn(ending(started, "first", state="failed"))
        late = replace(ending(started, "second"), events=(*deltas(1, 80, "x" * size), terminal()))
        assert await store.turns.end_turn(late) == first
        assert await store.turns.read_events(first) == [terminal()]
        assert (await store.conversations.get_message("ann", first.id)).content == "first"

    @pytest.mark.parametrize("size", [40_000, 600_000, 2 * 1024 * 1024])
    async def test_an_answer_of_any_length_survives(self, store: Stores, size: int) -> None:
        started = await new_turn(store)
        text = (PLANES * (size // len(PLANES.encode()) + 1))[: size // 2]
        events = (*deltas(1, 1_000, "y" * 800), terminal())
        await store.turns.end_turn(replace(ending(started, text), events=events))
        assert (await store.conversations.get_message("ann", started.turn.id)).content == text
        assert await store.turns.read_events(started.turn) == list(events)

    async def test_an_ended_turn_makes_room_for_the_next(self, store: Stores) -> None:
        first = await new_turn(store)
        await store.turns.end_turn(ending(first))
        session = await store.conversations.get_session("ann", first.session.id)
        second = await store.turns.start_turn(turn_draft(session, nonce="n2"))
        assert second.session.running_turn == second.turn.id

    async def test_an_end_of_a_deleted_session_is_not_found(self, store: Stores) -> None:
        started = await new_turn(store)
        await store.turns.end_turn(ending(started))
        await store.conversations.delete_session("ann", started.session.id)
        await store.turns.append_events(started.turn, deltas(1, 3))
        with pytest.raises(TurnNotFound):
            await store.turns.end_turn(ending(started))
        assert await store.turns.read_events(started.turn) == []

    async def test_what_a_dialect_keeps_of_a_turn_that_ended_is_changed(self, store: Stores) -> None:
        started = await new_turn(store)
        ended = await store.turns.end_turn(ending(started))
        await store.turns.note_client(ended, {"hidden": True})
        noted = await store.turns.get_turn("ann", ended.id)
        assert (noted.hidden, noted.request.client) == (True, {"hidden": True})
        assert replace(noted, request=ended.request, version="") == replace(ended, version="")
        await store.conversations.delete_session("ann", started.session.id)
        with pytest.raises(TurnNotFound):
            await store.turns.note_client(ended, {})

    @pytest.mark.parametrize("closes", [True, False])
    async def test_events_that_land_after_the_end_are_not_read(self, store: Stores, closes: bool) -> None:
        started = await new_turn(store)
        await store.turns.append_events(started.turn, deltas(1, 3))
        end = ending(started)
        tail = deltas(4, 5) if closes else []
        await store.turns.end_turn(replace(end, events=(*tail, *end.events), follows=3))
        said = await store.turns.read_events(started.turn)
        await store.turns.append_events(started.turn, deltas(4, 9, "late"))
        assert await store.turns.read_events(started.turn) == said

    async def test_events_are_purged_once_their_turn_ended_long_ago(self, store: Stores) -> None:
        young, running = [await new_turn(store) for _ in range(2)]
        draft = turn_draft(await new_session(store))
        old = await store.turns.start_turn(replace(draft, started_at=NOW - timedelta(days=4)))
        await store.turns.append_events(running.turn, deltas(1, 2))
        await store.turns.append_events(old.turn, deltas(1, 250))
        await store.turns.end_turn(ending(old, ended_at=NOW - timedelta(days=3)))
        await store.turns.end_turn(ending(young))
        assert await store.turns.purge_events(ended_before=NOW - timedelta(days=1)) == 1
        assert await store.turns.purge_events(ended_before=NOW - timedelta(days=1)) == 0
        assert await store.turns.read_events(old.turn) == []
        assert await store.turns.read_events(young.turn) == [terminal()]
        assert await store.turns.read_events(running.turn) == deltas(1, 2)
        assert (await store.conversations.get_message("ann", old.turn.id)).content == "Hi"

    async def test_a_turn_that_ended_after_a_purge_is_purged_by_a_later_one(self, store: Stores) -> None:
        assert await store.turns.purge_events(ended_before=NOW) == 0
        started = await new_turn(store)
        failed = NumberedEvent(TERMINAL_NUMBER, TurnFailed("X", "x", retryable=False))
        await store.turns.end_turn(replace(ending(started), events=(failed,)))
        assert await store.turns.purge_events(ended_before=NOW + timedelta(days=1)) == 1
