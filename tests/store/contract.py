"""The rules of the ports of the store, as suites: a store passes by subclassing them with a `store` fixture.

The fixture gives `Stores`: anything that has the three ports. The rules of `TurnStore` are in `turn_contract.py`.
"""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from chat.clock import SystemClock
from chat.errors import (
    NotFound,
    SessionNotFound,
    TurnInProgress,
    TurnNotFound,
    ValidationError,
)
from chat.messages import MessageDraft
from chat.store.conversation_store import SessionChanges, SessionDraft
from chat.store.errand_store import Errand
from chat.store.instance_store import LeaseLost
from tests.store.builders import (
    IDS,
    PLANES,
    Stores,
    ending,
    new_session,
    new_session_at,
    new_turn,
    said,
    turn_draft,
)
from tests.support.members import let_into


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

    async def test_a_changed_session_is_read_back_as_it_was_changed(self, store: Stores) -> None:
        session = await new_session(store, "Hello", settings={"a": 1}, llm_model="m")
        changes = SessionChanges(
            title="T", is_active=False, settings={"b": [2]}, summary="S", summary_until=1
        )
        changed = await store.conversations.update_session("ann", session.id, changes)
        assert await store.conversations.get_session("ann", session.id) == changed
        assert (changed.title, changed.is_active, changed.settings) == ("T", False, {"b": [2]})
        assert (changed.summary, changed.summary_until, changed.llm_model) == ("S", 1, "m")
        assert changed.updated_at >= session.updated_at and changed.last_seq == 1

    async def test_a_session_can_be_changed_while_a_turn_runs_in_it(self, store: Stores) -> None:
        started = await new_turn(store)
        await store.conversations.update_session("ann", started.session.id, SessionChanges(title="T"))
        ended = await store.turns.end_turn(ending(started))
        found = await store.conversations.get_session("ann", started.session.id)
        assert (ended.state, found.title, found.running_turn) == ("finished", "T", "")

    async def test_changes_at_the_same_time_are_all_kept(self, store: Stores) -> None:
        session = await new_session(store)
        changes = [
            SessionChanges(title="T"),
            SessionChanges(llm_model="m"),
            SessionChanges(settings={"x": 1}),
        ]
        update = store.conversations.update_session
        appends = (store.conversations.append_messages("ann", session.id, [said(str(n))]) for n in range(3))
        await asyncio.gather(*(update("ann", session.id, each) for each in changes), *appends)
        found = await store.conversations.get_session("ann", session.id)
        assert (found.title, found.llm_model, found.settings, found.last_seq) == ("T", "m", {"x": 1}, 3)

    async def test_a_session_of_another_cannot_be_changed(self, store: Stores) -> None:
        session = await new_session(store)
        for user, wanted in (("bob", session.id), ("ann", "0" * 26)):
            with pytest.raises(SessionNotFound):
                await store.conversations.update_session(user, wanted, SessionChanges(title="T"))

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
            store.turns.start_turn(turn_draft(started.session, user_id="eve")),
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

    async def test_the_sessions_of_a_user_are_counted(self, store: Stores) -> None:
        count = store.conversations.count_sessions
        assert await count("ann") == 0
        made = [(await new_session_at(store, number)).id for number in range(4)]
        shared = await new_session(store, user="bob")
        await store.conversations.claim_session("ann", "alias", "0" * 25 + "A")
        await let_into(store.members, shared.id, "ann", "viewer", owner="bob")
        assert (await count("ann"), await count("bob")) == (5, 1)
        await store.conversations.delete_session("ann", made[1])
        await store.members.remove_member("ann", shared.id, "ann")
        assert (await count("ann"), await count("bob")) == (3, 1)

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
        await store.turns.end_turn(ending(started))
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

    async def test_an_alias_stands_for_the_session_that_claimed_it_first(self, store: Stores) -> None:
        claim = store.conversations.claim_session
        first, second = IDS.new(), IDS.new()
        find = store.conversations.find_claimed
        for alias in ("key", "k/#?\\%' é\U0001f600", "x" * 255):
            assert await find("ann", alias) == ""
            assert await claim("ann", alias, first) == first
            assert await claim("ann", alias, second) == first
            assert await claim("bob", alias, second) == second
            assert await find("ann", alias) == first
        assert (await store.conversations.list_sessions("ann", limit=5)).items == ()

    async def test_the_id_of_a_deleted_session_does_not_come_again_by_its_alias(self, store: Stores) -> None:
        claim = store.conversations.claim_session
        session = await new_session(store)
        assert await claim("ann", "key", session.id) == session.id
        await store.conversations.delete_session("ann", session.id)
        assert await claim("ann", "key", after := IDS.new()) == after
        assert await store.conversations.find_claimed("ann", "key") == after

    async def test_an_alias_of_one_who_was_taken_out_stands_for_a_new_session(self, store: Stores) -> None:
        claim = store.conversations.claim_session
        shared = await new_session(store, user="bob")
        await let_into(store.members, shared.id, "ann", "editor", owner="bob")
        assert await claim("ann", "key", shared.id) == shared.id
        assert await claim("ann", "key", IDS.new()) == shared.id
        await store.members.remove_member("bob", shared.id, "ann")
        assert await claim("ann", "key", after := IDS.new()) == after

    async def test_an_alias_that_came_to_nothing_is_forgotten(self, store: Stores) -> None:
        claim = store.conversations.claim_session
        used = await new_session(store)
        longest = "\U0010ffff" * 255
        assert await claim("ann", "used", used.id) == used.id
        first, second, third = IDS.new(), IDS.new(), IDS.new()
        assert await claim(longest, longest, first) == first
        await store.conversations.tidy(before=SystemClock().now() - timedelta(minutes=1))
        assert await claim(longest, longest, second) == first
        await store.conversations.tidy(before=SystemClock().now() + timedelta(minutes=1))
        assert await claim(longest, longest, third) == third
        assert await claim("ann", "used", third) == used.id

    async def test_a_session_with_a_running_turn_is_not_deleted(self, store: Stores) -> None:
        started = await new_turn(store)
        with pytest.raises(TurnInProgress) as refused:
            await store.conversations.delete_session("ann", started.session.id)
        assert refused.value.turn_id == started.turn.id
        assert await store.conversations.get_session("ann", started.session.id)

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

    @pytest.mark.parametrize(
        ("limit", "before", "expected"),
        [(3, 11, [8, 9, 10]), (3, 5, [2, 3, 4]), (99, 99, list(range(1, 11))), (3, 2, [1]), (3, 1, [])],
    )
    async def test_the_newest_messages_of_a_session_that_was_read_are_loaded(
        self, store: Stores, limit: int, before: int, expected: list[int]
    ) -> None:
        session = await new_session(store, *"abcdefghij")
        await store.conversations.append_messages("ann", session.id, [said("later")])
        loaded = await store.conversations.load_messages(session, limit=limit, before=before)
        assert [each.seq for each in loaded] == expected

    async def test_messages_before_a_time_can_be_listed(self, store: Stores) -> None:
        session = await new_session(store)
        made = [
            (await store.conversations.append_messages("ann", session.id, [said(text)]))[0].created_at
            for text in "abcdefghijk"
        ]
        times = [(made[0], []), (made[1], [1]), (made[7], [6, 7]), (made[-1], [9, 10])]
        day = timedelta(days=1)
        for when, expected in [*times, (made[0] - day, []), (made[-1] + day, [10, 11])]:
            found = await store.conversations.list_messages(
                "ann", session.id, limit=2, before=when, newest=True
            )
            assert [each.seq for each in found] == expected

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
        await store.instances.post_cancel("i1", "s-00000002")
        for _ in range(2):
            await store.instances.retire("i1")
        assert await store.instances.read_lease("i1") is None
        mail = await store.instances.take_mail("i1")
        assert (mail.cancels, mail.watches, mail.lease) == (frozenset(), frozenset(), None)
        with pytest.raises(LeaseLost):
            await store.instances.renew(lease)

    async def test_what_is_fresh_or_has_a_lease_is_no_stray(self, store: Stores) -> None:
        await store.instances.register("i1")
        await store.instances.post_cancel("i1", "t")
        await store.errands.note_errand(Errand("answer", "s"))
        secret = await store.errands.secret("x")
        await store.instances.forget_strays()
        assert (await store.instances.take_mail("i1")).cancels == {"t"}
        assert [each.session_id for each in await store.errands.list_errands("answer")] == ["s"]
        assert await store.errands.secret("x") == secret

    async def test_all_leases_are_listed(self, store: Stores) -> None:
        for name in ("i1", "i/2#?", "i3"):
            await store.instances.register(name)
        await store.instances.post_watch("i1", "s-00000002")
        assert {lease.instance_id for lease in await store.instances.list_leases()} == {"i1", "i/2#?", "i3"}

    @pytest.mark.parametrize("count", [0, 1, 3000])
    async def test_a_beat_names_the_turns_of_its_instance_and_no_older_ones(
        self, store: Stores, count: int
    ) -> None:
        lease = await store.instances.register("i1")
        assert lease.turns == ()
        lease = await store.instances.renew(lease, [f"{'A' * 26}-{number:08d}" for number in range(5000)])
        turns = tuple(f"{'B' * 26}-{number:08d}" for number in range(count))
        lease = await store.instances.renew(lease, turns)
        found = await store.instances.read_lease("i1")
        assert found is not None
        assert found.turns == lease.turns == turns

    async def test_mail_is_taken_once_and_with_the_lease(self, store: Stores) -> None:
        lease = await store.instances.register("i1")
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
