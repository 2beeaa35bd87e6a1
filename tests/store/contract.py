"""The rules of the three ports of the store, as suites: a store passes by subclassing them with a `store` fixture.

The fixture gives anything that has the three ports as `conversations`, `turns` and `instances`.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chat.clock import SystemClock, UlidIds
from chat.errors import (
    MessageNotFound,
    NotFound,
    SessionNotFound,
    TurnInProgress,
    TurnNotFound,
    ValidationError,
    VersionConflict,
)
from chat.events import TERMINAL_NUMBER, NumberedEvent, TextDelta, TurnFailed, TurnFinished
from chat.messages import MessageDraft, Session, TurnError, Usage
from chat.store.base import (
    ConversationStore,
    InstanceStore,
    LeaseLost,
    SessionDraft,
    StartedTurn,
    TurnDraft,
    TurnEnding,
    TurnStore,
)

IDS = UlidIds(SystemClock())
NOW = datetime(2026, 11, 20, 8, 15, 0, 123456, tzinfo=UTC)


@dataclass
class Stores:
    """The three ports of one store."""

    conversations: ConversationStore
    turns: TurnStore
    instances: InstanceStore


# Controls, quotes, both ends of the BMP, private letters, and a letter of each plane above.
PLANES = "\x00\x1f\t\r\n'\"\\/é\u2028\ud7ff\ue000\ufffd\uffff" + "".join(
    chr((plane << 16) + 0xF389) for plane in range(1, 17)
)


@dataclass(frozen=True)
class Moment:
    """A clock that stands still."""

    when: datetime

    def now(self) -> datetime:
        return self.when

    def monotonic(self) -> float:
        return 0.0


def said(text: str) -> MessageDraft:
    return MessageDraft("user", text, author="ann")


async def new_session(store: Stores, *texts: str, user: str = "ann", **fields: Any) -> Session:
    drafts = [said(text) for text in texts]
    return await store.conversations.create_session(user, SessionDraft(IDS.new(), **fields), drafts)


async def new_session_at(store: Stores, seconds: int) -> Session:
    """A session made so many seconds later than others."""
    ids = UlidIds(Moment(NOW + timedelta(seconds=seconds)))
    return await store.conversations.create_session("ann", SessionDraft(ids.new()))


def turn_draft(session: Session, text: str = "Hello", *, nonce: str = "n1", **fields: Any) -> TurnDraft:
    message = None if "message_id" in fields else said(text)
    return TurnDraft(session, session.user_id, "i1", NOW, nonce, message, **fields)


async def new_turn(store: Stores) -> StartedTurn:
    return await store.turns.start_turn(turn_draft(await new_session(store)))


def ending(started: StartedTurn, text: str = "Hi", **fields: Any) -> TurnEnding:
    changes = {"state": "finished", "ended_at": NOW + timedelta(seconds=3), "usage": Usage(3, 5)} | fields
    message = replace(started.assistant_message, content=text, status="complete", tokens_used=8)
    return TurnEnding(started.turn, replace(started.turn, **changes), (terminal(),), message)


def terminal() -> NumberedEvent:
    return NumberedEvent(TERMINAL_NUMBER, TurnFinished())


def deltas(first: int, last: int, text: str = "x") -> list[NumberedEvent]:
    return [NumberedEvent(number, TextDelta("t0", text)) for number in range(first, last + 1)]


class ConversationStoreContract:
    async def test_a_created_session_is_read_back_as_it_was_given(self, store: Stores) -> None:
        fields: dict[str, Any] = {
            "title": "T",
            "llm_provider": "AZURE",
            "llm_model": "m",
            "settings": {"a": [1, None]},
        }
        session = await new_session(store, **fields)
        assert await store.conversations.get_session("ann", session.id) == session
        assert {name: getattr(session, name) for name in fields} == fields

    async def test_a_session_without_a_title_is_named_by_its_first_user_line(self, store: Stores) -> None:
        session = await new_session(store, "  What is up?\nTell me", "Second")
        assert session.title == "What is up?"

    async def test_a_repeated_create_gives_what_is_stored(self, store: Stores) -> None:
        session = await new_session(store, "Hello")
        again = await store.conversations.create_session("ann", SessionDraft(session.id), [said("Hello")])
        assert again == session
        assert (await store.conversations.list_sessions("ann", limit=10)).items == (session,)

    async def test_a_create_with_the_id_of_another_user_is_not_found(self, store: Stores) -> None:
        session = await new_session(store)
        with pytest.raises(SessionNotFound):
            await store.conversations.create_session("eve", SessionDraft(session.id))

    async def test_a_long_history_is_stored_whole_and_in_order(self, store: Stores) -> None:
        texts = [f"message {number}" for number in range(1, 251)]
        session = await new_session(store, *texts)
        stored = await store.conversations.list_messages("ann", session.id, limit=1000)
        assert [each.content for each in stored] == texts
        assert session.message_count == session.last_seq == 250

    @pytest.mark.parametrize("identifier", ["", "unknown", "../x", "a b", "'", "x" * 2000, "\x00"])
    async def test_a_session_that_does_not_exist_is_not_found(self, store: Stores, identifier: str) -> None:
        with pytest.raises(SessionNotFound):
            await store.conversations.get_session("ann", identifier)

    async def test_nothing_of_another_user_can_be_reached(self, store: Stores) -> None:
        started = await new_turn(store)
        session_id, turn_id = started.session.id, started.turn.id
        calls = [
            store.conversations.get_session("eve", session_id),
            store.conversations.delete_session("eve", session_id),
            store.conversations.append_messages("eve", session_id, [said("x")]),
            store.conversations.get_message("eve", turn_id),
            store.conversations.list_messages("eve", session_id, limit=5),
            store.turns.get_turn("eve", turn_id),
            store.turns.start_turn(replace(turn_draft(started.session), user_id="eve")),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                await call
        assert (await store.conversations.list_sessions("eve", limit=5)).items == ()

    async def test_sessions_are_listed_newest_first_page_by_page(self, store: Stores) -> None:
        made = [(await new_session_at(store, number)).id for number in range(7)]
        listed: list[str] = []
        cursor = None
        for size in (3, 3, 1):
            page = await store.conversations.list_sessions("ann", limit=3, cursor=cursor)
            cursor = page.next_cursor
            assert len(page.items) == size
            listed += [session.id for session in page.items]
        assert cursor is None
        assert listed == made[::-1]

    async def test_a_full_last_page_has_no_cursor(self, store: Stores) -> None:
        for number in range(3):
            await new_session_at(store, number)
        assert (await store.conversations.list_sessions("ann", limit=3)).next_cursor is None

    async def test_deleted_sessions_leave_no_hole_in_a_page(self, store: Stores) -> None:
        made = [(await new_session_at(store, number)).id for number in range(5)]
        for session_id in made[1:4]:
            await store.conversations.delete_session("ann", session_id)
        page = await store.conversations.list_sessions("ann", limit=2)
        assert [session.id for session in page.items] == [made[4], made[0]]
        assert not page.has_more

    @pytest.mark.parametrize(
        "cursor", ["", "x", "e30", "eyJrIjoxfQ", "eyJrIjoiJyJ9", "ü", "=" * 9, "A" * 999]
    )
    async def test_a_cursor_that_is_not_ours_is_refused(self, store: Stores, cursor: str) -> None:
        with pytest.raises(ValidationError) as caught:
            await store.conversations.list_sessions("ann", limit=3, cursor=cursor)
        assert caught.value.field == "cursor"

    async def test_a_deleted_session_is_gone_for_every_call(self, store: Stores) -> None:
        started = await new_turn(store)
        session_id = started.session.id
        await store.conversations.delete_session("ann", session_id)
        for call in [
            store.conversations.get_session("ann", session_id),
            store.conversations.delete_session("ann", session_id),
            store.conversations.append_messages("ann", session_id, [said("x")]),
            store.conversations.get_message("ann", started.turn.id),
            store.conversations.list_messages("ann", session_id, limit=5),
            store.turns.start_turn(turn_draft(started.session, nonce="n2")),
        ]:
            with pytest.raises(SessionNotFound):
                await call
        with pytest.raises(TurnNotFound):
            await store.turns.get_turn("ann", started.turn.id)

    async def test_appended_messages_get_the_next_numbers(self, store: Stores) -> None:
        session = await new_session(store, "one")
        stored = await store.conversations.append_messages("ann", session.id, [said("two"), said("three")])
        assert [(each.seq, each.id) for each in stored] == [
            (2, f"{session.id}-00000002"),
            (3, f"{session.id}-00000003"),
        ]
        after = await store.conversations.get_session("ann", session.id)
        assert (after.last_seq, after.message_count) == (3, 3)
        assert after.version != session.version
        assert after.updated_at >= session.updated_at

    async def test_a_message_is_read_back_as_it_was_given(self, store: Stores) -> None:
        session = await new_session(store, "one")
        metadata: dict[str, Any] = {"nested": {"a": [1.5, "ü", None, True]}, "big": 2**40}
        draft = MessageDraft("assistant", "Hi", "bob", metadata, f"{session.id}-00000001", "failed")
        [stored] = await store.conversations.append_messages("ann", session.id, [draft])
        assert await store.conversations.get_message("ann", stored.id) == stored
        assert MessageDraft(*(getattr(stored, name) for name in MessageDraft.__slots__)) == draft

    async def test_concurrent_appends_lose_nothing_and_leave_no_gap(self, store: Stores) -> None:
        session = await new_session(store)
        texts = [f"text {number}" for number in range(100)]
        calls = [store.conversations.append_messages("ann", session.id, [said(text)]) for text in texts]
        appended = [message for messages in await asyncio.gather(*calls) for message in messages]
        stored = await store.conversations.list_messages("ann", session.id, limit=1000)
        assert [each.seq for each in stored] == list(range(1, 101))
        assert sorted(appended, key=lambda each: each.seq) == stored
        assert {each.content for each in stored} == set(texts)

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ({"limit": 3}, [1, 2, 3]),
            ({"limit": 3, "newest": True}, [8, 9, 10]),
            ({"limit": 3, "after": 5}, [6, 7, 8]),
            ({"limit": 3, "before": 5, "newest": True}, [2, 3, 4]),
            ({"limit": 9, "after": 3, "before": 6}, [4, 5]),
            ({"limit": 3, "before": 99, "newest": True}, [8, 9, 10]),
            ({"limit": 3, "before": 1}, []),
            ({"limit": 3, "after": 10}, []),
            ({"limit": 99}, list(range(1, 11))),
        ],
    )
    async def test_a_range_of_messages_can_be_listed(
        self, store: Stores, arguments: dict[str, Any], expected: list[int]
    ) -> None:
        session = await new_session(store, *"abcdefghij")
        stored = await store.conversations.list_messages("ann", session.id, **arguments)
        assert [each.seq for each in stored] == expected

    @pytest.mark.parametrize("suffix", ["-00000009", "-x", "", "-9"])
    async def test_a_message_that_does_not_exist_is_not_found(self, store: Stores, suffix: str) -> None:
        session = await new_session(store, "one")
        with pytest.raises(NotFound):
            await store.conversations.get_message("ann", session.id + suffix)

    @pytest.mark.parametrize("size", [1, 20_000, 32_767, 65_537, 256 * 1024])
    async def test_a_text_of_any_size_and_plane_survives(self, store: Stores, size: int) -> None:
        text = ("a" + PLANES * (size // len(PLANES) + 1))[:size]
        session = await new_session(store)
        [stored] = await store.conversations.append_messages("ann", session.id, [said(text)])
        assert stored.content == text
        assert (await store.conversations.get_message("ann", stored.id)).content == text


class TurnStoreContract:
    async def test_a_start_stores_the_message_the_placeholder_and_the_turn(self, store: Stores) -> None:
        session = await new_session(store, "before")
        wire: dict[str, Any] = {"usage": True}
        started = await store.turns.start_turn(
            turn_draft(session, "Why?", pipeline="p", dialect="plan", wire=wire, llm_model="m")
        )
        messages = await store.conversations.list_messages("ann", session.id, limit=9)
        assert messages[1:] == [started.user_message, started.assistant_message]
        assert [(each.content, each.status) for each in messages[1:]] == [
            ("Why?", "complete"),
            ("", "streaming"),
        ]
        assert started.turn.id == started.assistant_message.id
        assert started.turn == await store.turns.get_turn("ann", started.turn.id)
        assert (started.turn.pipeline, started.turn.dialect, started.turn.wire) == ("p", "plan", wire)
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
        draft = SessionDraft(IDS.new(), llm_model="m")
        history = tuple(said(f"old {number}") for number in range(length))
        fresh = Session(draft.id, "ann", "", NOW, NOW)
        turn = turn_draft(fresh, "new", new_session=draft, history=history)
        started = await store.turns.start_turn(turn)
        assert started == await store.turns.start_turn(turn)
        messages = await store.conversations.list_messages("ann", draft.id, limit=999)
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
        await store.conversations.delete_session("ann", started.session.id)
        with pytest.raises(TurnNotFound):
            await store.turns.end_turn(ending(started))

    async def test_events_are_purged_once_their_turn_ended_long_ago(self, store: Stores) -> None:
        old, young, running = [await new_turn(store) for _ in range(3)]
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


class InstanceStoreContract:
    async def test_a_lease_beats(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        renewed = await store.instances.renew(lease)
        assert (renewed.instance_id, renewed.beat, renewed.fenced) == ("i1", lease.beat + 1, False)
        stored = await store.instances.read_lease("i1")
        assert stored is not None
        assert (stored.beat, stored.version) == (renewed.beat, renewed.version)
        assert 0 <= stored.age < 5

    async def test_a_repeated_renewal_whose_reply_got_lost_is_no_loss(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        renewed = await store.instances.renew(lease)
        again = await store.instances.renew(lease)
        assert again.beat == renewed.beat
        assert (await store.instances.renew(again)).beat == renewed.beat + 1

    async def test_a_renewal_of_a_lease_that_is_far_behind_is_lost(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        await store.instances.renew(await store.instances.renew(lease))
        with pytest.raises(LeaseLost):
            await store.instances.renew(lease)

    async def test_a_fenced_lease_cannot_be_renewed(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        found = await store.instances.read_lease("i1")
        assert found is not None
        assert await store.instances.fence(found)
        assert await store.instances.fence(found)
        with pytest.raises(LeaseLost):
            await store.instances.renew(lease)
        stored = await store.instances.read_lease("i1")
        assert stored is not None
        assert stored.fenced

    async def test_a_lease_that_beat_since_it_was_read_is_not_fenced(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        found = await store.instances.read_lease("i1")
        assert found is not None
        await store.instances.renew(lease)
        assert not await store.instances.fence(found)

    async def test_a_retired_instance_leaves_nothing(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        await store.instances.add_turn("i1", "s-00000002")
        await store.instances.post_cancel("i1", "s-00000002")
        for _ in range(2):
            await store.instances.retire("i1")
        assert await store.instances.read_lease("i1") is None
        assert await store.instances.list_turns("i1") == []
        mail = await store.instances.take_mail("i1")
        assert (mail.cancels, mail.watches, mail.lease) == (frozenset(), frozenset(), None)
        with pytest.raises(LeaseLost):
            await store.instances.renew(lease)

    async def test_all_leases_are_listed(self, store: Stores) -> None:
        for name in ("i1", "i/2#?", "i3"):
            await store.instances.register(name)
        await store.instances.add_turn("i1", "s-00000002")
        assert {lease.instance_id for lease in await store.instances.list_leases()} == {"i1", "i/2#?", "i3"}

    async def test_the_turns_of_an_instance_are_noted_and_removed(self, store: Stores) -> None:
        for turn_id in ("s-00000002", "s-00000004"):
            for _ in range(2):
                await store.instances.add_turn("i1", turn_id)
        for _ in range(2):
            await store.instances.remove_turn("i1", "s-00000002")
        assert await store.instances.list_turns("i1") == ["s-00000004"]
        assert await store.instances.list_turns("i2") == []

    async def test_mail_is_taken_once_and_with_the_lease(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
        await store.instances.add_turn("i1", "s-00000002")
        await store.instances.post_cancel("i1", "s-00000002")
        await store.instances.post_watch("i1", "s-00000004")
        await store.instances.post_watch("i1", "s-00000004")
        await store.instances.post_cancel("i2", "s-00000006")
        mail = await store.instances.take_mail("i1")
        assert (mail.cancels, mail.watches) == ({"s-00000002"}, {"s-00000004"})
        assert mail.lease is not None
        assert mail.lease.version == lease.version
        again = await store.instances.take_mail("i1")
        assert (again.cancels, again.watches) == (frozenset(), frozenset())
        assert await store.instances.list_turns("i1") == ["s-00000002"]
