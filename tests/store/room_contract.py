"""The rules of what many people share, as suites like those of `contract.py`: waiting messages, presence."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from chat.calls import ToolDefinition
from chat.conversation import WaitingMessage
from chat.credentials import Credential, Scope
from chat.errors import (
    Forbidden,
    QueueFull,
    SessionInactive,
    SessionNotFound,
    VersionConflict,
)
from chat.messages import message_id
from chat.reply_options import ReplyOptions, ResponseSchema, ToolChoice
from chat.requests import TurnRequest
from chat.store.conversation_store import ASKED, WAITING, SessionChanges, Waits
from chat.store.errand_store import Errand
from chat.store.instance_store import Join
from chat.store.presence_store import Connection, Person, Ticket
from tests.store.builders import NOW, Stores, ending, new_session, new_turn, said, shared, turn_draft
from tests.support.members import let_into


def to_wait(
    session_id: str, text: str = "x", user: str = "ann", *, key: str = "", **asked: Any
) -> TurnRequest:
    return TurnRequest(user, content=text, session_id=session_id, nonce=key, **asked)


async def wait_in(store: Stores, session_id: str, text: str, **asked: Any) -> Waits:
    waits = await store.conversations.append_waiting(to_wait(session_id, text, **asked))
    assert waits is not None
    return waits


class WaitingContract:
    async def test_a_message_waits_for_the_running_turn_and_the_next_one_takes_all(
        self, store: Stores
    ) -> None:
        started = await new_turn(store)
        session_id = started.session.id
        asked: dict[str, Any] = {"dialect": "plan", "client": {"usage": True}}
        asked |= {"pipeline": "trip", "input": {"given": {"pois": []}}}
        first = (await wait_in(store, session_id, "one", **asked)).message
        second = (await wait_in(store, session_id, "two", **asked)).message
        session = await store.conversations.get_session("ann", session_id)
        assert [each.seq for each in session.waiting] == [first.seq, second.seq] == [3, 4]
        assert session.waiting[0].request == TurnRequest("ann", dialect="plan")  # a head stays small
        assert await store.conversations.load_waiting(session) == tuple(
            WaitingMessage(seq, TurnRequest("ann", **asked), parts=1) for seq in (3, 4)
        )
        await store.turns.end_turn(ending(started))
        session = await store.conversations.get_session("ann", session_id)
        assert len(session.waiting) == 2
        again = await store.turns.start_turn(
            turn_draft(session, nonce="n2", message_id=second.id, waited=True)
        )
        assert again.session.waiting == ()
        assert [each.turn for each in again.session.asked] == [5, 5]
        assert (await store.conversations.get_session("ann", session_id)).waiting == ()

    async def test_large_requests_wait_and_go_with_their_turn(self, store: Stores) -> None:
        started = await new_turn(store)
        session_id = started.session.id
        tools = tuple(ToolDefinition(f"t{n}", "d", {"x": "é" * 7500}, n == 1) for n in range(64))
        wanted = ReplyOptions(
            ("x",), 1, ToolChoice("required", "t1"), response_schema=ResponseSchema("n", {})
        )
        for number in range(WAITING):
            asked = {"tools": tools, "settings": {"number": number}, "options": wanted}
            await wait_in(store, session_id, "x", **asked, on_behalf_of="bob")
        session = await store.conversations.get_session("ann", session_id)
        waiting = await store.conversations.load_waiting(session)
        assert [each.request.settings for each in waiting] == [{"number": n} for n in range(WAITING)]
        assert all(each.request.tools == tools and each.parts > 1 for each in waiting)
        assert {each.request.on_behalf_of for each in waiting} == {"bob"}
        assert all(each.request.options == wanted for each in waiting)
        await store.turns.end_turn(ending(started))
        session = await store.conversations.get_session("ann", session_id)
        second = message_id(session_id, session.waiting[1].seq)
        again = await store.turns.start_turn(turn_draft(session, nonce="n2", message_id=second, waited=True))
        left = await store.conversations.load_waiting(again.session)
        assert [each.request.settings for each in left] == [{"number": n} for n in (2, 3, 4)]

    async def test_a_turn_to_an_older_question_leaves_what_waits(self, store: Stores) -> None:
        started = await new_turn(store)
        session_id, question = started.session.id, started.user_message.id
        waits = (await wait_in(store, session_id, "two")).message
        await store.turns.end_turn(ending(started))
        session = await store.conversations.get_session("ann", session_id)
        again = await store.turns.start_turn(turn_draft(session, nonce="n2", message_id=question))
        assert [each.seq for each in again.session.waiting] == [waits.seq]

    async def test_a_message_that_waits_no_more_starts_no_turn(self, store: Stores) -> None:
        started = await new_turn(store)
        session_id = started.session.id
        waits = (await wait_in(store, session_id, "two")).message
        for number in range(2):
            await store.turns.end_turn(ending(started))
            session = await store.conversations.get_session("ann", session_id)
            draft = turn_draft(session, nonce=f"n{number}", message_id=waits.id, waited=True)
            if number:
                with pytest.raises(VersionConflict):
                    await store.turns.start_turn(draft)
            else:
                started = await store.turns.start_turn(draft)

    async def test_what_comes_under_one_key_waits_once(self, store: Stores) -> None:
        session_id = (await new_turn(store)).session.id
        first = await wait_in(store, session_id, "two", key="k")
        again = await wait_in(store, session_id, "two", key="k")
        assert (first.new, again.new, again.message) == (True, False, first.message)
        assert len((await store.conversations.get_session("ann", session_id)).waiting) == 1

    async def test_a_key_that_became_a_turn_starts_and_waits_no_more(self, store: Stores) -> None:
        started = await new_turn(store, key="k")
        session_id = started.session.id
        assert await store.conversations.append_waiting(to_wait(session_id, key="k")) is None
        await store.turns.end_turn(ending(started))
        session = await store.conversations.get_session("ann", session_id)
        asked = session.asked_by(to_wait("", key="k").key)
        assert asked is not None
        assert message_id(session_id, asked.turn) == started.turn.id
        with pytest.raises(VersionConflict):
            await store.turns.start_turn(turn_draft(session, nonce="n2", key="k"))

    async def test_only_so_many_keys_are_remembered(self, store: Stores) -> None:
        started = await new_turn(store, key="k")
        for number in range(ASKED + 2):
            await store.turns.end_turn(ending(started))
            session = await store.conversations.get_session("ann", started.session.id)
            started = await store.turns.start_turn(turn_draft(session, nonce=f"n{number}", key=f"k{number}"))
        assert len(started.session.asked) == ASKED
        assert started.session.asked_by(to_wait("", key="k").key) is None
        assert started.session.asked_by(to_wait("", key=f"k{ASKED + 1}").key) is not None

    async def test_what_is_posted_under_one_key_is_stored_once(self, store: Stores) -> None:
        session_id = (await new_turn(store)).session.id  # it waits for no turn
        post, request = store.conversations.post_message, to_wait(session_id, "two", key="k")
        outcomes = [*await asyncio.gather(*(post(request) for _ in range(5))), await post(request)]
        assert sorted(each.new for each in outcomes) == [False] * 5 + [True]
        message = outcomes[0].message
        assert all(each.message == message for each in outcomes)
        assert (message.seq, message.content, message.author) == (3, "two", "ann")
        assert (await post(to_wait(session_id, "two", key="other"))).new
        session = await store.conversations.get_session("ann", session_id)
        assert (session.last_seq, session.waiting) == (4, ())

    async def test_what_is_posted_without_a_key_is_stored_each_time(self, store: Stores) -> None:
        session = await new_session(store)
        for _ in range(2):
            assert (await store.conversations.post_message(to_wait(session.id, "x"))).new
        session = await store.conversations.get_session("ann", session.id)
        assert (session.last_seq, session.asked, session.title) == (2, (), "x")

    async def test_of_what_is_posted_only_so_many_keys_are_remembered(self, store: Stores) -> None:
        session_id = (await new_turn(store, key="k")).session.id
        await wait_in(store, session_id, "waits", key="w")
        for number in range(ASKED + 1):
            await store.conversations.post_message(to_wait(session_id, "x", key=f"k{number}"))
        session = await store.conversations.get_session("ann", session_id)
        known = {key: session.asked_by(to_wait("", key=key).key) for key in ("k", "w", "k0", "k1")}
        assert [key for key, asked in known.items() if asked] == ["w", "k1"]
        assert len(session.asked) == ASKED + 1

    async def test_a_viewer_posts_nothing(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        for user, error in (("bob", Forbidden), ("eve", SessionNotFound)):
            with pytest.raises(error):
                await store.conversations.post_message(to_wait(session.id, user=user, key="k"))

    async def test_a_session_that_is_not_active_takes_no_turn(self, store: Stores) -> None:
        session = await new_session(store, "Hello")
        changes = SessionChanges(is_active=False)
        session = await store.conversations.update_session("ann", session.id, changes)
        with pytest.raises(SessionInactive):
            await store.turns.start_turn(turn_draft(session))

    async def test_nothing_waits_where_no_turn_runs(self, store: Stores) -> None:
        session = await new_session(store, "Hello")
        assert await store.conversations.append_waiting(to_wait(session.id)) is None
        assert (await store.conversations.get_session("ann", session.id)).last_seq == 1

    async def test_only_so_many_wait(self, store: Stores) -> None:
        session_id = (await new_turn(store)).session.id
        for number in range(WAITING):
            await store.conversations.append_waiting(to_wait(session_id, str(number)))
        with pytest.raises(QueueFull):
            await store.conversations.append_waiting(to_wait(session_id))

    async def test_a_viewer_does_not_wait(self, store: Stores) -> None:
        started = await new_turn(store)
        await let_into(store.members, started.session.id, "bob", "viewer")
        for user, error in (("bob", Forbidden), ("eve", SessionNotFound)):
            with pytest.raises(error):
                await store.conversations.append_waiting(to_wait(started.session.id, user=user))

    async def test_nothing_starts_and_nothing_waits_in_a_session_that_is_not_active(
        self, store: Stores
    ) -> None:
        started = await new_turn(store)
        session_id = started.session.id
        await store.conversations.update_session("ann", session_id, SessionChanges(is_active=False))
        with pytest.raises(SessionInactive):
            await store.conversations.append_waiting(to_wait(session_id))
        await store.turns.end_turn(ending(started))
        session = await store.conversations.get_session("ann", session_id)
        with pytest.raises(SessionInactive):
            await store.turns.start_turn(turn_draft(session, nonce="n2"))
        assert (await store.conversations.get_session("ann", session_id)).last_seq == session.last_seq
        await store.conversations.append_messages("ann", session_id, [said("kept")])

    async def test_what_waits_can_be_left_to_another_process(self, store: Stores) -> None:
        for session_id in ("s1", "s2", "s1"):
            await store.errands.note_errand(Errand("answer", session_id))
        await store.errands.note_errand(Errand("evict", "s1", "bob/é"))
        found = await store.errands.list_errands("answer")
        assert [(each.session_id, each.user_id, each.age < 60) for each in found] == [
            ("s1", "", True),
            ("s2", "", True),
        ]
        [evict] = await store.errands.list_errands("evict")
        assert (evict.session_id, evict.user_id) == ("s1", "bob/é")
        assert await store.instances.list_leases() == []

    async def test_an_errand_that_is_done_is_gone_unless_it_was_noted_again(self, store: Stores) -> None:
        errand = Errand("evict", "s1", "x" * 255)
        await store.errands.note_errand(errand)
        [listed] = await store.errands.list_errands("evict")
        await store.errands.note_errand(errand)
        await store.errands.end_errand(listed)
        [listed] = await store.errands.list_errands("evict")
        for _ in range(2):
            await store.errands.end_errand(listed)
        assert await store.errands.list_errands("evict") == []

    async def test_an_errand_is_taken_on_by_one(self, store: Stores) -> None:
        noted, fresh = (Errand("tell", "s1", turn_id=f"s1-0000000{number}") for number in (2, 4))
        await store.errands.note_errand(noted)
        for errand in (noted, fresh):
            claims = await asyncio.gather(*(store.errands.claim_errand(errand) for _ in range(5)))
            assert sorted(claims) == [False] * 4 + [True]
        found = await store.errands.list_errands("tell")
        assert {(each.turn_id, each.claimed) for each in found} == {
            (noted.turn_id, True),
            (fresh.turn_id, True),
        }
        await store.errands.end_errand(noted)
        await store.errands.note_errand(fresh)  # once more
        [again] = await store.errands.list_errands("tell")
        assert (again.turn_id, again.claimed) == (fresh.turn_id, False)

    async def test_a_listed_errand_that_is_done_is_taken_on_by_nobody(self, store: Stores) -> None:
        errand = Errand("tell", "s1", turn_id="s1-00000002")
        await store.errands.note_errand(errand)
        [listed] = await store.errands.list_errands("tell")
        await store.errands.end_errand(errand)
        assert not await store.errands.claim_errand(listed)
        assert await store.errands.list_errands("tell") == []

    async def test_a_secret_is_made_once(self, store: Stores) -> None:
        first = await store.errands.secret("x")
        assert len(first) > 8
        assert await store.errands.secret("x") == first
        assert await store.errands.secret("y") != first


class PresenceContract:
    async def test_the_number_of_sockets_is_kept_with_its_age(self, store: Stores) -> None:
        assert await store.presence.counted() is None
        for sockets in (3, 0):
            await store.presence.note_count(sockets)
            counted = await store.presence.counted()
            assert counted is not None
            assert (counted.sockets, 0 <= counted.age < 5) == (sockets, True)

    async def test_of_several_who_show_a_socket_a_turn_one_may(self, store: Stores) -> None:
        session = await new_session(store)
        await store.presence.enter(Connection("c", session.id, "ann", "chat", NOW, NOW))
        for turn_id in ("x-00000002", "x-00000004"):
            learned = await asyncio.gather(
                *(store.presence.learn(session.id, "c", turn_id) for _ in range(8)),
                store.presence.note(session.id, "c", joined=True),
            )
            assert sorted(each for each in learned if each is not None) == [False] * 7 + [True]
        assert not await store.presence.learn(session.id, "c", "x-00000002")
        assert not await store.presence.learn(session.id, "gone", "x-00000004")
        found = await store.presence.find(session.id, "c")
        assert found is not None and (found.joined, found.knows) == (True, "x-00000004")

    async def test_sockets_come_and_go(self, store: Stores) -> None:
        session = await new_session(store)
        ann = Connection("c/1", session.id, "ann", "chat", NOW, NOW)
        bob = Connection("c2", session.id, "bob/é", "session", NOW, NOW)
        for each in (ann, bob, replace(bob, seen=NOW + timedelta(seconds=9))):
            await store.presence.enter(each)
        present = await store.presence.present(session.id)
        assert {each.id: each for each in present.connections} == {
            "c/1": ann,
            "c2": replace(bob, seen=NOW + timedelta(seconds=9)),
        }
        note = store.presence.note
        await note(session.id, "c/1", seen=NOW + timedelta(seconds=5))
        await note(session.id, "c/1", joined=True)
        await note(session.id, "c/1", knows="x-00000002")
        for _ in range(2):
            await store.presence.leave(bob)
            await note(session.id, "c2", seen=NOW, joined=True)  # it is gone: nothing happens
            assert await store.presence.find(session.id, "c2") is None
        found = await store.presence.find(session.id, "c/1")
        assert found is not None and (found.joined, found.knows) == (True, "x-00000002")
        assert await store.presence.connections(session.id) == (
            replace(ann, seen=NOW + timedelta(seconds=5), joined=True, knows="x-00000002"),
        )

    async def test_what_a_user_does_is_changed_by_one_at_a_time(self, store: Stores) -> None:
        session = await new_session(store)
        change = store.presence.change_person

        def come(name: str) -> Callable[[Person], Person]:
            return lambda person: replace(person, sockets={**person.sockets, name: True})

        came = await asyncio.gather(*(change(session.id, "bob/é", come(f"c{n}")) for n in range(12)))
        assert sorted(len(before.sockets) for before, _ in came) == list(range(12))
        before, after = await change(session.id, "bob/é", lambda each: each)
        assert before == after == Person({f"c{n}": True for n in range(12)})
        left = Person({}, NOW, NOW)
        assert await change(session.id, "bob/é", lambda _: left) == (before, left)
        assert (await change(session.id, "bob/é", lambda each: each))[0] == left
        assert (await store.presence.present(session.id)).last_seen == {"bob/é": NOW}

        def refuse(_: Person) -> Person:
            raise Forbidden

        with pytest.raises(Forbidden):
            await change(session.id, "bob/é", refuse)

    async def test_tickets_that_nobody_used_go_with_the_next_purge(self, store: Stores) -> None:
        old, young = [
            Ticket(
                f"t-{number}", (await new_session(store)).id, "ann", "chat", NOW + timedelta(minutes=number)
            )
            for number in (1, 9)
        ]
        for each in (old, young):
            await store.presence.issue(each)
        assert await store.presence.purge_tickets(expired_before=NOW + timedelta(minutes=5)) == 1
        assert await store.presence.purge_tickets(expired_before=NOW + timedelta(minutes=5)) == 0
        assert await store.presence.take(old.session_id, old.id) is None
        assert await store.presence.take(young.session_id, young.id) == young

    @pytest.mark.parametrize("ticket", ["x" * 5000, "\ud800", "a/b#?", ""])
    async def test_a_ticket_that_nobody_can_have_is_not_there(self, store: Stores, ticket: str) -> None:
        session = await new_session(store)
        assert await store.presence.take(session.id, ticket) is None

    async def test_a_ticket_keeps_the_limits_of_what_it_was_got_with(self, store: Stores) -> None:
        session = await new_session(store)
        scopes: tuple[frozenset[Scope] | None, ...] = (None, frozenset(), frozenset({"read", "manage"}))
        for ends in (None, NOW):
            for each in scopes:
                credential = Credential(ends, each, "k1" if ends else "")
                ticket = Ticket("t", session.id, "ann", "chat", NOW, credential)
                await store.presence.issue(ticket)
                assert await store.presence.take(session.id, "t") == ticket

    async def test_the_ends_of_sockets_are_worked_off_in_their_time(self, store: Stores) -> None:
        ends = {
            name: NOW + timedelta(milliseconds=at) for name, at in (("a/1", 1), ("b", 2), ("c", 3), ("d", 9))
        }
        for name, when in ends.items():
            for _ in range(2):
                await store.presence.note_end(Connection(name, "s1", "bob/é", "chat", NOW, NOW), when)
        for _ in range(2):
            await store.presence.forget_end(Connection("b", "s1", "bob/é", "chat", NOW, NOW), ends["b"])
        seen: list[str] = []

        async def close(connection: Connection) -> bool:
            assert (connection.session_id, connection.user_id, connection.dialect) == ("s1", "bob/é", "chat")
            seen.append(connection.id)
            return connection.id != "c"

        before = NOW + timedelta(milliseconds=5)
        assert [await store.presence.work_off_ends(before, close) for _ in range(2)] == [1, 0]
        assert sorted(seen) == ["a/1", "c", "c"]

    async def test_a_ticket_is_taken_until_it_is_forgotten(self, store: Stores) -> None:
        session = await new_session(store)
        ticket = Ticket("t-1_x", session.id, "ann", "chat", NOW)
        await store.presence.issue(ticket)
        for _ in range(2):
            assert await store.presence.take(session.id, "t-1_x") == ticket
        for where, name in ((session.id, "other"), ("other", "t-1_x"), ("bad/id", "t"), ("", "")):
            assert await store.presence.take(where, name) is None
        await store.presence.forget_tickets(session.id, expired_before=NOW)
        assert await store.presence.take(session.id, "t-1_x") == ticket
        await store.presence.forget_tickets(session.id, expired_before=NOW + timedelta(seconds=1))
        assert await store.presence.take(session.id, "t-1_x") is None

    async def test_presence_goes_with_its_session(self, store: Stores) -> None:
        session = await new_session(store)
        await store.presence.enter(Connection("c1", session.id, "ann", "chat", NOW, NOW))
        await store.conversations.delete_session("ann", session.id)
        assert (await store.presence.present(session.id)).connections == ()

    async def test_a_socket_that_wants_to_see_a_turn_is_mail(self, store: Stores) -> None:
        joins = [Join("s-00000002", "c/1", "chat"), Join("s-00000002", "c2", "plan", 7, 2)]
        lease = await store.instances.register("i1")
        for join in joins:
            await store.instances.post_join(lease.instance_id, join)
        mail = await store.instances.take_mail("i1")
        assert sorted(mail.joins, key=lambda each: each.connection_id) == joins
        assert (await store.instances.take_mail("i1")).joins == ()

    async def test_an_absurd_number_costs_nobody_their_mail(self, store: Stores) -> None:
        await store.instances.register("i1")
        for number, after in enumerate((2**31, 2**70, -(2**70))):
            await store.instances.post_join("i1", Join("s-00000002", f"c{number}", "chat", after, after))
        await store.instances.post_cancel("i1", "s-00000004")
        mail = await store.instances.take_mail("i1")
        assert mail.cancels == {"s-00000004"}
        assert {each.connection_id for each in mail.joins} == {"c0", "c1", "c2"}
