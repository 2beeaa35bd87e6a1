"""The rules of sessions that are in no list and go with the events of their newest turn, as a suite."""

from dataclasses import replace
from datetime import timedelta

import pytest

from chat.conversation import Session
from chat.errors import Conflict, SessionNotFound, TurnNotFound
from chat.messages import MessageDraft
from chat.store.conversation_store import SessionDraft
from chat.store.turn_store import StartedTurn
from tests.store.builders import IDS, NOW, Stores, deltas, ending, said, turn_draft

LATER = NOW + timedelta(days=1)


async def unlisted_turn(store: Stores) -> StartedTurn:
    """A turn that was asked for with the whole conversation."""
    fresh = Session(IDS.new(), "ann", "", NOW, NOW, listed=False)
    transcript = (said("old"), MessageDraft("assistant", "reply"), said("new"))
    return await store.turns.start_turn(turn_draft(fresh, "new", new=True, transcript=transcript))


class UnlistedContract:
    async def test_it_is_in_no_list_and_is_found_by_its_id(self, store: Stores) -> None:
        started = await unlisted_turn(store)
        other = await store.conversations.create_session("ann", SessionDraft(IDS.new(), listed=False))
        assert (await store.conversations.list_sessions("ann", limit=9)).items == ()
        assert await store.conversations.count_sessions("ann") == 0
        assert await store.conversations.get_session("ann", started.session.id) == started.session
        assert not (await store.conversations.get_session("ann", other.id)).listed
        with pytest.raises(SessionNotFound):
            await store.conversations.get_session("eve", started.session.id)

    async def test_the_question_and_its_answer_are_stored_and_no_history(self, store: Stores) -> None:
        started = await unlisted_turn(store)
        await store.turns.end_turn(ending(started))
        messages = await store.conversations.list_messages("ann", started.session.id, limit=9)
        assert [(each.role, each.content) for each in messages] == [("user", "new"), ("assistant", "Hi")]
        assert await store.turns.get_turn("ann", started.turn.id)

    async def test_a_repeated_start_gives_what_landed(self, store: Stores) -> None:
        fresh = Session(IDS.new(), "ann", "", NOW, NOW, listed=False)
        draft = turn_draft(fresh, "new", new=True, transcript=(said("new"),))
        assert await store.turns.start_turn(draft) == await store.turns.start_turn(draft)

    async def test_it_goes_whole_with_its_events(self, store: Stores) -> None:
        started = await unlisted_turn(store)
        await store.turns.append_events(started.turn, deltas(1, 3))
        assert await store.turns.purge_events(ended_before=LATER) == 0  # it runs
        await store.turns.end_turn(replace(ending(started), follows=3))
        assert await store.turns.purge_events(ended_before=NOW) == 0  # too young
        assert await store.turns.read_events(started.turn)
        assert await store.turns.purge_events(ended_before=LATER) == 1
        with pytest.raises(SessionNotFound):
            await store.conversations.load_session(started.session.id)
        with pytest.raises(TurnNotFound):
            await store.turns.load_turn(started.turn.id)
        assert await store.turns.read_events(started.turn) == []
        assert await store.turns.purge_events(ended_before=LATER) == 0

    async def test_it_goes_with_its_newest_turn_and_not_before(self, store: Stores) -> None:
        first = await unlisted_turn(store)
        await store.turns.end_turn(ending(first))
        session = await store.conversations.get_session("ann", first.session.id)
        second = await store.turns.start_turn(
            replace(turn_draft(session, "more", nonce="n2"), started_at=NOW + timedelta(days=2))
        )
        assert await store.turns.purge_events(ended_before=LATER) == 1
        assert await store.turns.load_turn(second.turn.id) == second.turn
        await store.turns.end_turn(ending(second, ended_at=NOW + timedelta(days=2)))
        assert await store.turns.purge_events(ended_before=NOW + timedelta(days=3)) == 1
        with pytest.raises(SessionNotFound):
            await store.conversations.load_session(first.session.id)

    async def test_a_listed_session_stays_without_its_events(self, store: Stores) -> None:
        fresh = Session(IDS.new(), "ann", "", NOW, NOW)
        started = await store.turns.start_turn(turn_draft(fresh, "new", new=True))
        await store.turns.end_turn(ending(started))
        assert await store.turns.purge_events(ended_before=LATER) == 1
        assert (await store.conversations.list_sessions("ann", limit=9)).items

    async def test_nobody_is_invited_to_it(self, store: Stores) -> None:
        session = (await unlisted_turn(store)).session
        with pytest.raises(Conflict):
            await store.members.set_member("ann", session.id, "bob", "viewer")
        assert await store.members.count_invitations("bob") == 0
