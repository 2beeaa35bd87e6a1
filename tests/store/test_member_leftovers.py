"""A process may end between any two writes of a change of members: what is shown is right at once, the same call made
again does the rest, and in the end nothing is left over.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from chat.clock import SystemClock
from chat.conversation import INVITED_FOR
from chat.errors import NotFound
from chat.store.drafts import directory_key
from chat.store.member_store import MemberStore
from chat.store.tables.table_client import Table
from chat.store.tables.table_storage import TableStorage
from tests.store.builders import Stores, new_session, ports_of
from tests.store.conftest import OpenStorage
from tests.support.members import let_into

type Deed = Callable[[MemberStore, str], Awaitable[object]]

LATER = SystemClock().now() + INVITED_FOR + timedelta(days=1)


class Died(BaseException):
    """The process."""


class Writes:
    """Lets so many writes of single rows through, and then ends the process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 1000
        write = Table._write  # pyright: ignore[reportPrivateUsage]

        async def counted(table: Table, operation: Any) -> str:
            if self.left == 0:
                raise Died
            self.left -= 1
            return await write(table, operation)

        monkeypatch.setattr(Table, "_write", counted)


async def _nothing(_members: MemberStore, _session_id: str) -> None: ...


async def _invited(members: MemberStore, session_id: str) -> None:
    await members.set_member("ann", session_id, "bob", "viewer")


async def _member(members: MemberStore, session_id: str) -> None:
    await let_into(members, session_id, "bob", "viewer")


# What is before, what is done, and what bob is afterwards: nobody, invited, a member.
DEEDS: dict[str, tuple[Deed, Deed, tuple[bool, bool]]] = {
    "invite": (_nothing, _invited, (False, True)),
    "accept": (_invited, lambda members, each: members.accept_invitation("bob", each), (True, False)),
    "decline": (_invited, lambda members, each: members.decline_invitation("bob", each), (False, False)),
    "take back": (_invited, lambda members, each: members.remove_member("ann", each, "bob"), (False, False)),
    "take out": (_member, lambda members, each: members.remove_member("ann", each, "bob"), (False, False)),
    "leave": (_member, lambda members, each: members.remove_member("bob", each, "bob"), (False, False)),
    "hand over": (_member, lambda members, each: members.set_owner("ann", each, "bob"), (True, False)),
}


async def how_it_stands(store: Stores, session_id: str) -> tuple[bool, bool]:
    """Whether bob is a member, and whether he is invited: in the head, and the same by his lists."""
    session = await store.conversations.load_session(session_id)
    by_head = session.role_of("bob") is not None, "bob" in session.invited
    sessions = (await store.conversations.list_sessions("bob", limit=9)).items
    invitations = (await store.members.list_invitations("bob", limit=9)).items
    by_lists = session_id in {each.id for each in sessions}, bool(invitations)
    assert by_head == by_lists
    assert len(invitations) <= 1
    return by_head


@pytest.mark.parametrize("deed", DEEDS)
async def test_a_change_that_was_cut_off_anywhere_is_shown_right_and_can_be_made_again(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch, deed: str
) -> None:
    storage, (prepare, act, wanted) = open_storage(), DEEDS[deed]
    store, writes = ports_of(storage), Writes(monkeypatch)
    for cut in range(20):
        session = await new_session(store)
        await prepare(store.members, session.id)
        before = await how_it_stands(store, session.id)
        writes.left = cut
        try:
            await act(store.members, session.id)
        except Died:
            died = True
        else:
            died = False
        writes.left = 1000
        assert await how_it_stands(store, session.id) in (before, wanted)
        if died:
            try:
                await act(store.members, session.id)
            except NotFound:
                assert deed in ("decline", "leave")  # as when it is done twice
            except Exception as error:
                assert (deed, type(error).__name__) == ("hand over", "Forbidden")
        assert await how_it_stands(store, session.id) == wanted
        await _nothing_is_left(storage, monkeypatch, session.id, member=wanted[0])
        if not died:
            assert cut >= 1
            return
    raise AssertionError("it never came to its end")


async def _nothing_is_left(
    storage: TableStorage, monkeypatch: pytest.MonkeyPatch, session_id: str, *, member: bool
) -> None:
    """Once the timer was there after a month, and the user has looked at their list after a day."""
    await storage.conversations.tidy(before=LATER)
    with monkeypatch.context() as patched:
        patched.setattr("chat.store.tables.table_lists.ABANDONED", -1.0)
        await storage.conversations.list_sessions("bob", limit=9)
    rows = await storage.service.directory.rows("PartitionKey eq 'bob'")
    assert [row.key for row in rows] == ([directory_key(session_id)] if member else [])
    assert await storage.service.usage.rows("PartitionKey eq 'due-invitations'") == []
    await storage.conversations.delete_session(
        "bob" if await _owns(storage, session_id) else "ann", session_id
    )
    assert await storage.service.directory.rows("PartitionKey ge ''") == []


async def _owns(storage: TableStorage, session_id: str) -> bool:
    return (await storage.conversations.load_session(session_id)).user_id == "bob"


async def test_a_session_that_is_deleted_takes_its_invitations_along(open_storage: OpenStorage) -> None:
    storage = open_storage()
    session = await new_session(ports_of(storage))
    for user in ("bob", "eve"):
        await storage.members.set_member("ann", session.id, user, "viewer")
    await storage.conversations.delete_session("ann", session.id)
    for table in (storage.service.sessions, storage.service.directory):
        assert await table.rows("PartitionKey ge ''") == []
    assert await storage.service.usage.rows("PartitionKey eq 'due-invitations'") == []


async def test_who_is_let_in_again_keeps_the_line_though_the_removal_ends_late(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody is taken out, let in again, and only then does the first process come to remove the line."""
    storage = open_storage()
    store = ports_of(storage)
    session = await new_session(store)
    await let_into(store.members, session.id, "bob")
    strike = storage.service.directory.delete

    async def late(partition: str, key: str, etag: str = "") -> None:
        monkeypatch.setattr(storage.service.directory, "delete", strike)
        await let_into(store.members, session.id, "bob")
        await strike(partition, key, etag)

    monkeypatch.setattr(storage.service.directory, "delete", late)
    await store.members.remove_member("ann", session.id, "bob")
    assert await how_it_stands(store, session.id) == (True, False)


async def test_a_reply_that_got_lost_is_no_refusal(
    open_storage: OpenStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A merge that landed and is tried again meets its own etag; by then who made it may be allowed no longer."""
    storage = open_storage()
    store = ports_of(storage)
    session = await new_session(store)
    await let_into(store.members, session.id, "bob")
    merge = storage.service.sessions.merge

    async def twice(entity: Any, etag: str = "") -> str:
        await merge(entity, etag)
        return await merge(entity, etag)

    with monkeypatch.context() as patched:
        patched.setattr(storage.service.sessions, "merge", twice)
        assert (await store.members.set_owner("ann", session.id, "bob")).user_id == "bob"
        assert (await store.members.remove_member("ann", session.id, "ann")).members == {}
        await store.members.set_member("bob", session.id, "eve", "viewer")
        assert (await store.members.accept_invitation("eve", session.id)).members == {"eve": "viewer"}
        await store.members.set_member("bob", session.id, "dan", "viewer")
        await store.members.decline_invitation("dan", session.id)
    assert (await store.members.list_invitations("dan", limit=9)).items == ()
