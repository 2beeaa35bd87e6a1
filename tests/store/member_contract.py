"""The rules of `MemberStore`, as suites like those of `contract.py`: members, invitations, the owner."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from chat.clock import SystemClock
from chat.conversation import INVITED_FOR
from chat.errors import (
    ChatError,
    Forbidden,
    SessionNotFound,
    TooManyInvitations,
    TurnNotFound,
    ValidationError,
)
from chat.store.conversation_store import SessionChanges
from chat.store.member_store import INVITATIONS, INVITATIONS_EACH
from tests.store.builders import Stores, ending, new_session, new_turn, said, shared, turn_draft
from tests.support.members import let_into


async def outcome(call: Awaitable[object]) -> str:
    """What became of it: the name of the error, or ""."""
    try:
        await call
    except ChatError as error:
        return type(error).__name__
    return ""


async def lists_of(store: Stores, user: str) -> tuple[list[str], list[str]]:
    """The sessions that a user is in, and those that they are invited to."""
    sessions = (await store.conversations.list_sessions(user, limit=99)).items
    invitations = (await store.members.list_invitations(user, limit=99)).items
    return [each.id for each in sessions], [each.session_id for each in invitations]


class MembersContract:
    async def test_a_member_sees_the_session_and_a_stranger_does_not(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        assert await store.conversations.get_session("bob", session.id) == session
        assert session.members == {"bob": "viewer"}
        assert len(await store.conversations.list_messages("bob", session.id, limit=9)) == 1
        with pytest.raises(SessionNotFound):
            await store.conversations.get_session("eve", session.id)

    async def test_a_shared_session_is_in_the_list_of_each_member(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        assert [each.id for each in (await store.conversations.list_sessions("bob", limit=9)).items] == [
            session.id
        ]
        await store.members.remove_member("ann", session.id, "bob")
        assert (await store.conversations.list_sessions("bob", limit=9)).items == ()

    async def test_a_viewer_writes_nothing(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        with pytest.raises(Forbidden):
            await store.conversations.append_messages("bob", session.id, [said("x")])
        with pytest.raises(Forbidden):
            await store.conversations.update_session("bob", session.id, SessionChanges(title="x"))
        with pytest.raises(Forbidden):
            await store.turns.start_turn(turn_draft(session, user_id="bob"))
        with pytest.raises(Forbidden):
            await store.conversations.delete_session("bob", session.id)
        assert (await store.conversations.get_session("ann", session.id)).last_seq == 1

    async def test_an_editor_writes_and_asks_but_shares_and_deletes_nothing(self, store: Stores) -> None:
        session = await shared(store, bob="editor")
        await store.conversations.append_messages("bob", session.id, [said("x")])
        session = await store.conversations.update_session("bob", session.id, SessionChanges(title="x"))
        await store.turns.start_turn(turn_draft(session, user_id="bob"))
        with pytest.raises(Forbidden):
            await store.members.set_member("bob", session.id, "eve", "viewer")
        with pytest.raises(Forbidden):
            await store.conversations.delete_session("bob", session.id)

    async def test_a_turn_is_seen_by_members_and_stopped_by_editors(self, store: Stores) -> None:
        started = await new_turn(store)
        turn = started.turn
        await let_into(store.members, turn.session_id, "bob", "viewer")
        assert await store.turns.get_turn("bob", turn.id) == turn
        with pytest.raises(Forbidden):
            await store.turns.get_turn("bob", turn.id, need="editor")
        with pytest.raises(TurnNotFound):
            await store.turns.get_turn("eve", turn.id)

    async def test_a_role_changes_and_ends(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        session = await store.members.set_member("ann", session.id, "bob", "editor")
        session = await store.members.set_member("ann", session.id, "bob", "editor")
        assert session.members == {"bob": "editor"}
        session = await store.members.remove_member("bob", session.id, "bob")  # leaves
        assert session.members == {}
        with pytest.raises(SessionNotFound):
            await store.conversations.get_session("bob", session.id)

    async def test_members_who_come_at_the_same_time_are_all_kept(self, store: Stores) -> None:
        session = await new_session(store)
        await asyncio.gather(*(let_into(store.members, session.id, f"u{n}", "viewer") for n in range(5)))
        found = await store.conversations.get_session("ann", session.id)
        assert (set(found.members), found.invited) == ({f"u{n}" for n in range(5)}, {})

    async def test_the_owner_stays_the_owner_and_does_not_leave(self, store: Stores) -> None:
        session = await new_session(store)
        with pytest.raises(ValidationError, match="hand the session over"):
            await store.members.set_member("ann", session.id, "ann", "viewer")
        with pytest.raises(ValidationError, match="hand the session over"):
            await store.members.remove_member("ann", session.id, "ann")

    async def test_to_take_out_one_who_is_not_in_changes_nothing(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        assert await store.members.remove_member("ann", session.id, "eve") == session

    async def test_there_is_an_end_to_members_and_invitations_together(self, store: Stores) -> None:
        session = await new_session(store)
        for number in range(30):
            await let_into(store.members, session.id, f"{number:0255d}", "viewer")
        with pytest.raises(ValidationError, match="as many members"):
            for number in range(30, 120):
                await store.members.set_member("ann", session.id, f"{number:0255d}", "viewer")
        found = await store.conversations.get_session("ann", session.id)
        assert (len(found.members), 60 < len(found.invited) < 85) == (30, True)
        [last, *_] = found.invited
        await store.members.accept_invitation(last, session.id)  # takes less room than the invitation did
        await store.members.set_member("ann", session.id, last, "editor")

    async def test_a_deleted_session_leaves_the_lists_of_its_members(self, store: Stores) -> None:
        session = await shared(store, bob="editor")
        await store.conversations.delete_session("ann", session.id)
        assert (await store.conversations.list_sessions("bob", limit=9)).items == ()
        with pytest.raises(SessionNotFound):
            await store.conversations.get_session("bob", session.id)

    async def test_the_app_itself_asks_nobody(self, store: Stores) -> None:
        session = await new_session(store, "Hello")
        assert await store.conversations.load_session(session.id) == session
        assert (await store.conversations.load_message(f"{session.id}-00000001")).content == "Hello"


class InvitationsContract:
    async def test_who_is_invited_is_in_nothing_until_they_accept(self, store: Stores) -> None:
        started = await new_turn(store)
        session = await store.members.set_member("ann", started.session.id, "bob", "editor")
        assert (session.members, session.invited["bob"].role) == ({}, "editor")
        assert session.role_of("bob") is None
        calls = (
            store.conversations.get_session("bob", session.id),
            store.conversations.list_messages("bob", session.id, limit=9),
            store.conversations.append_messages("bob", session.id, [said("x")]),
            store.conversations.delete_session("bob", session.id),
            store.members.remove_member("bob", session.id, "bob"),
            store.turns.get_turn("bob", started.turn.id),
        )
        assert [await outcome(call) for call in calls] == ["SessionNotFound"] * 5 + ["TurnNotFound"]
        assert await lists_of(store, "bob") == ([], [session.id])
        assert await store.conversations.count_sessions("bob") == 0

    async def test_an_invitation_says_who_invites_to_what(self, store: Stores) -> None:
        session = await new_session(store, "Hello", title="Trip")
        session = await store.members.set_member("ann", session.id, "bob", "viewer")
        [found] = (await store.members.list_invitations("bob", limit=9)).items
        assert (found.session_id, found.title, found.offer) == (session.id, "Trip", session.invited["bob"])
        assert (found.offer.role, found.offer.by) == ("viewer", "ann")
        assert await store.conversations.get_session("ann", session.id) == session

    async def test_who_accepts_is_a_member_and_may_say_so_twice(self, store: Stores) -> None:
        session = await new_session(store, "Hello")
        await store.members.set_member("ann", session.id, "bob", "viewer")
        accepted = await store.members.accept_invitation("bob", session.id)
        assert (accepted.members, accepted.invited) == ({"bob": "viewer"}, {})
        assert await store.members.accept_invitation("bob", session.id) == accepted
        assert await lists_of(store, "bob") == ([session.id], [])
        assert await store.members.count_invitations("bob") == 0

    async def test_who_declines_is_seen_no_more(self, store: Stores) -> None:
        session = await shared(store, eve="viewer")
        await store.members.set_member("ann", session.id, "bob", "viewer")
        left = await store.members.decline_invitation("bob", session.id)
        assert (left.members, left.invited) == ({"eve": "viewer"}, {})
        assert await lists_of(store, "bob") == ([], [])
        assert await outcome(store.members.decline_invitation("bob", session.id)) == "InvitationNotFound"
        assert await outcome(store.members.accept_invitation("bob", session.id)) == "InvitationNotFound"

    async def test_an_invitation_is_taken_back(self, store: Stores) -> None:
        session = await new_session(store)
        await store.members.set_member("ann", session.id, "bob", "viewer")
        assert (await store.members.remove_member("ann", session.id, "bob")).invited == {}
        assert await lists_of(store, "bob") == ([], [])
        assert await outcome(store.members.accept_invitation("bob", session.id)) == "InvitationNotFound"

    async def test_to_invite_again_changes_what_is_offered(self, store: Stores) -> None:
        session = await new_session(store)
        first = await store.members.set_member("ann", session.id, "bob", "viewer")
        assert await store.members.set_member("ann", session.id, "bob", "viewer") == first
        await store.members.set_member("ann", session.id, "bob", "editor")
        [found] = (await store.members.list_invitations("bob", limit=9)).items
        assert (found.offer.role, found.offer.at) == ("editor", first.invited["bob"].at)
        assert (await store.members.accept_invitation("bob", session.id)).members == {"bob": "editor"}

    async def test_who_left_can_be_invited_again(self, store: Stores) -> None:
        session = await shared(store, bob="viewer")
        await store.members.remove_member("bob", session.id, "bob")
        await let_into(store.members, session.id, "bob", "editor")
        assert await lists_of(store, "bob") == ([session.id], [])

    async def test_invitations_of_others_and_to_nothing_are_not_found(self, store: Stores) -> None:
        session = await new_session(store)
        await store.members.set_member("ann", session.id, "bob", "viewer")
        for session_id in (session.id, "0" * 26, "../x", ""):
            for answer in (store.members.accept_invitation, store.members.decline_invitation):
                assert await outcome(answer("eve", session_id)) == "InvitationNotFound"
        assert await outcome(store.members.decline_invitation("ann", session.id)) == "InvitationNotFound"
        assert await lists_of(store, "eve") == ([], [])

    async def test_the_owner_alone_invites(self, store: Stores) -> None:
        session = await shared(store, bob="editor")
        for user, error in (("bob", "Forbidden"), ("eve", "SessionNotFound"), ("dan", "SessionNotFound")):
            assert await outcome(store.members.set_member(user, session.id, "dan", "viewer")) == error
            assert await outcome(store.members.remove_member(user, session.id, "zoe")) == error
        assert await lists_of(store, "dan") == ([], [])

    async def test_the_newest_are_listed_first_page_by_page(self, store: Stores) -> None:
        expected: list[str] = []
        for number in range(7):
            session = await new_session(store, user=f"u{number}")
            await store.members.set_member(f"u{number}", session.id, "bob", "viewer")
            expected.insert(0, session.id)
            await asyncio.sleep(0.003)  # they are told apart by milliseconds
        found: list[str] = []
        cursor = None
        while cursor is not None or not found:
            page = await store.members.list_invitations("bob", limit=3, cursor=cursor)
            found += [each.session_id for each in page.items]
            cursor = page.next_cursor
        assert found == expected
        assert await store.members.count_invitations("bob") == 7

    @pytest.mark.parametrize("cursor", ["", "x", "!", "eyJrIjoxfQ"])
    async def test_a_cursor_of_another_list_is_refused(self, store: Stores, cursor: str) -> None:
        with pytest.raises(ValidationError):
            await store.members.list_invitations("bob", limit=3, cursor=cursor)
        for _ in range(2):
            await new_session(store)
        sessions = await store.conversations.list_sessions("ann", limit=1)
        with pytest.raises(ValidationError):
            await store.members.list_invitations("ann", limit=1, cursor=sessions.next_cursor)

    async def test_nobody_fills_the_list_of_another(self, store: Stores) -> None:
        sessions = [await new_session(store) for _ in range(INVITATIONS_EACH + 1)]
        for session in sessions[:-1]:
            await store.members.set_member("ann", session.id, "bob", "viewer")
        for _ in range(2):
            with pytest.raises(TooManyInvitations):
                await store.members.set_member("ann", sessions[-1].id, "bob", "viewer")
        assert (await store.conversations.get_session("ann", sessions[-1].id)).invited == {}
        await store.members.set_member("ann", sessions[0].id, "bob", "editor")  # that is no further one
        other = await new_session(store, user="eve")
        await store.members.set_member("eve", other.id, "bob", "viewer")
        await store.members.decline_invitation("bob", sessions[0].id)
        await store.members.set_member("ann", sessions[-1].id, "bob", "viewer")
        assert len((await lists_of(store, "bob"))[1]) == INVITATIONS_EACH + 1

    async def test_of_invitations_at_the_same_moment_there_are_never_too_many(self, store: Stores) -> None:
        sessions = [await new_session(store) for _ in range(2 * INVITATIONS_EACH)]
        calls = (store.members.set_member("ann", each.id, "bob", "viewer") for each in sessions)
        outcomes = await asyncio.gather(*map(outcome, calls))
        assert set(outcomes) <= {"", "TooManyInvitations"}
        found = (await lists_of(store, "bob"))[1]
        assert len(found) == outcomes.count("") <= INVITATIONS_EACH
        assert await store.members.count_invitations("bob") == len(found)

    async def test_there_is_an_end_to_the_invitations_of_one_user(self, store: Stores) -> None:
        for number in range(INVITATIONS // INVITATIONS_EACH):
            for _ in range(INVITATIONS_EACH):
                session = await new_session(store, user=f"u{number}")
                await store.members.set_member(f"u{number}", session.id, "bob", "viewer")
        session = await new_session(store, user="dan")
        with pytest.raises(TooManyInvitations):
            await store.members.set_member("dan", session.id, "bob", "viewer")
        assert await store.members.count_invitations("bob") == INVITATIONS

    async def test_they_end_with_their_session(self, store: Stores) -> None:
        session = await shared(store, eve="viewer")
        await store.members.set_member("ann", session.id, "bob", "viewer")
        await store.conversations.delete_session("ann", session.id)
        assert await lists_of(store, "bob") == ([], [])
        assert await store.members.count_invitations("bob") == 0
        assert await outcome(store.members.accept_invitation("bob", session.id)) == "InvitationNotFound"

    async def test_they_end_after_their_time(self, store: Stores) -> None:
        session = await new_session(store)
        session = await store.members.set_member("ann", session.id, "bob", "viewer")
        end = session.invited["bob"].at + INVITED_FOR
        assert session.offers(end - timedelta(seconds=1)) and not session.offers(end)
        await store.conversations.tidy(before=SystemClock().now() + INVITED_FOR - timedelta(minutes=1))
        assert await lists_of(store, "bob") == ([], [session.id])
        await store.conversations.tidy(before=SystemClock().now() + INVITED_FOR + timedelta(minutes=1))
        assert (await store.conversations.get_session("ann", session.id)).invited == {}
        assert await lists_of(store, "bob") == ([], [])

    @pytest.mark.parametrize("turn", range(6))
    async def test_to_accept_and_to_take_back_at_once_has_one_outcome(self, store: Stores, turn: int) -> None:
        session = await new_session(store)
        await store.members.set_member("ann", session.id, "bob", "viewer")
        calls = [
            store.members.accept_invitation("bob", session.id),
            store.members.remove_member("ann", session.id, "bob"),
        ]
        outcomes = await asyncio.gather(*map(outcome, calls[:: 1 if turn % 2 else -1]))
        assert sorted(outcomes) in (["", ""], ["", "InvitationNotFound"])
        found = await store.conversations.get_session("ann", session.id)
        assert (found.members, found.invited) == ({}, {})
        assert await lists_of(store, "bob") == ([], [])

    @pytest.mark.parametrize("turn", range(6))
    async def test_to_accept_and_to_decline_at_once_has_one_outcome(self, store: Stores, turn: int) -> None:
        session = await new_session(store)
        await store.members.set_member("ann", session.id, "bob", "viewer")
        answers = {
            "accept": store.members.accept_invitation("bob", session.id),
            "decline": store.members.decline_invitation("bob", session.id),
        }
        names = sorted(answers, reverse=turn % 2 == 1)
        outcomes = dict(zip(names, await asyncio.gather(*(outcome(answers[n]) for n in names)), strict=True))
        assert sorted(outcomes.values()) == ["", "InvitationNotFound"]
        found = await store.conversations.get_session("ann", session.id)
        accepted = outcomes["accept"] == ""
        assert (found.members, found.invited) == ({"bob": "viewer"} if accepted else {}, {})
        assert await lists_of(store, "bob") == ([session.id] if accepted else [], [])

    async def test_who_is_invited_twice_at_once_is_invited_once(self, store: Stores) -> None:
        session = await new_session(store)
        invite = store.members.set_member
        await asyncio.gather(*(invite("ann", session.id, "bob", "viewer") for _ in range(4)))
        assert await lists_of(store, "bob") == ([], [session.id])
        assert await store.members.count_invitations("bob") == 1

    async def test_to_be_invited_and_to_delete_the_session_at_once_leaves_nothing(
        self, store: Stores
    ) -> None:
        session = await new_session(store)
        calls = (
            store.members.set_member("ann", session.id, "bob", "viewer"),
            store.conversations.delete_session("ann", session.id),
        )
        outcomes = await asyncio.gather(*map(outcome, calls))
        assert outcomes[1] == "" and outcomes[0] in ("", "SessionNotFound")
        assert await lists_of(store, "bob") == ([], [])
        assert await store.members.count_invitations("bob") == 0


class OwnersContract:
    async def test_a_session_is_handed_over_to_a_member(self, store: Stores) -> None:
        session = await shared(store, bob="viewer", eve="editor")
        session = await store.members.set_owner("ann", session.id, "bob")
        assert (session.user_id, session.members) == ("bob", {"eve": "editor", "ann": "editor"})
        assert await store.conversations.get_session("ann", session.id) == session
        for user in ("ann", "bob", "eve"):
            assert await lists_of(store, user) == ([session.id], [])
        assert await outcome(store.conversations.delete_session("ann", session.id)) == "Forbidden"
        await store.members.remove_member("bob", session.id, "ann")
        assert await lists_of(store, "ann") == ([], [])
        await store.conversations.append_messages("bob", session.id, [said("x")])
        await store.conversations.delete_session("bob", session.id)
        assert [await lists_of(store, user) for user in ("ann", "bob", "eve")] == [([], [])] * 3

    @pytest.mark.parametrize("to", ["eve", "dan", ""])
    async def test_only_a_member_becomes_the_owner(self, store: Stores, to: str) -> None:
        session = await shared(store, bob="editor")
        session = await store.members.set_member("ann", session.id, "dan", "editor")  # invited
        for caller, as_admin in (("ann", False), ("root", True)):
            with pytest.raises(ValidationError):
                await store.members.set_owner(caller, session.id, to, as_admin=as_admin)
        assert await store.conversations.get_session("ann", session.id) == session

    async def test_the_owner_and_an_admin_hand_over_and_nobody_else(self, store: Stores) -> None:
        session = await shared(store, bob="editor")
        for user, error in (("bob", "Forbidden"), ("eve", "SessionNotFound")):
            assert await outcome(store.members.set_owner(user, session.id, "bob")) == error
        with pytest.raises(SessionNotFound):
            await store.members.set_owner("root", "0" * 26, "bob", as_admin=True)
        for _ in range(2):
            handed = await store.members.set_owner("root", session.id, "bob", as_admin=True)
            assert (handed.user_id, handed.members) == ("bob", {"ann": "editor"})
        assert await lists_of(store, "root") == ([], [])

    async def test_invitations_stay_open_and_are_the_new_owners_to_take_back(self, store: Stores) -> None:
        session = await shared(store, bob="editor")
        await store.members.set_member("ann", session.id, "dan", "viewer")
        await store.members.set_member("ann", session.id, "eve", "viewer")
        await store.members.set_owner("ann", session.id, "bob")
        assert (await store.members.remove_member("bob", session.id, "eve")).invited.keys() == {"dan"}
        accepted = await store.members.accept_invitation("dan", session.id)
        assert accepted.members == {"ann": "editor", "dan": "viewer"}

    async def test_a_turn_goes_on_when_its_session_is_handed_over(self, store: Stores) -> None:
        started = await new_turn(store)
        await let_into(store.members, started.session.id, "bob")
        await store.members.set_owner("ann", started.session.id, "bob")
        assert (await store.turns.end_turn(ending(started))).state == "finished"
        session = await store.conversations.get_session("bob", started.session.id)
        assert (session.user_id, session.running_turn) == ("bob", "")

    @pytest.mark.parametrize("turn", range(4))
    async def test_of_two_who_are_to_take_over_at_once_one_does(self, store: Stores, turn: int) -> None:
        session = await shared(store, bob="editor", eve="editor")
        names = ["bob", "eve"] if turn % 2 else ["eve", "bob"]
        calls = (store.members.set_owner("ann", session.id, name) for name in names)
        outcomes = dict(zip(names, await asyncio.gather(*map(outcome, calls)), strict=True))
        assert sorted(outcomes.values()) == ["", "Forbidden"]
        found = await store.conversations.load_session(session.id)
        assert outcomes[found.user_id] == ""
        assert {found.user_id, *found.members} == {"ann", "bob", "eve"}

    @pytest.mark.parametrize("turn", range(4))
    async def test_to_hand_over_and_to_leave_at_once_has_one_outcome(self, store: Stores, turn: int) -> None:
        session = await shared(store, bob="editor")
        leaves = "bob" if turn % 2 else "ann"  # or is taken out by the owner
        outcomes = await asyncio.gather(
            outcome(store.members.set_owner("ann", session.id, "bob")),
            outcome(store.members.remove_member("bob" if turn % 2 else "ann", session.id, "bob")),
        )
        found = await store.conversations.load_session(session.id)
        if outcomes[0] == "":
            assert outcomes[1] in ("ValidationError", "Forbidden"), leaves
            assert (found.user_id, found.members) == ("bob", {"ann": "editor"})
            assert await lists_of(store, "bob") == ([session.id], [])
        else:
            assert outcomes == ["ValidationError", ""]
            assert (found.user_id, found.members) == ("ann", {})
            assert await lists_of(store, "bob") == ([], [])

    async def test_to_hand_over_and_to_delete_at_once_has_one_outcome(self, store: Stores) -> None:
        session = await shared(store, bob="editor")
        outcomes = await asyncio.gather(
            outcome(store.members.set_owner("ann", session.id, "bob")),
            outcome(store.conversations.delete_session("ann", session.id)),
        )
        assert outcomes in (["", "Forbidden"], ["SessionNotFound", ""])
        left = [session.id] if outcomes[0] == "" else []
        assert [await lists_of(store, user) for user in ("ann", "bob")] == [(left, [])] * 2
