"""The memory store keeps the rules of the ports, and its faults do what they say."""

import asyncio

import pytest

from chat.errors import SessionNotFound, StoreUnavailable
from tests.store.audit_contract import AuditContract
from tests.store.builders import Stores, new_session, turn_draft
from tests.store.contract import ConversationStoreContract, InstanceStoreContract
from tests.store.key_contract import KeyContract
from tests.store.member_contract import InvitationsContract, MembersContract, OwnersContract
from tests.store.request_contract import RequestContract
from tests.store.room_contract import PresenceContract, WaitingContract
from tests.store.turn_contract import TurnStoreContract
from tests.store.unlisted_contract import UnlistedContract
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows
from tests.support.memory.store import MemoryStore


def all_ports(memory: MemoryStore) -> Stores:
    return Stores(*(memory,) * 8)


class MemoryStoreFixture:
    @pytest.fixture
    def store(self) -> Stores:
        return all_ports(MemoryStore())


class TestMemoryConversations(MemoryStoreFixture, ConversationStoreContract):
    pass


class TestMemoryTurns(MemoryStoreFixture, TurnStoreContract):
    pass


class TestMemoryUnlisted(MemoryStoreFixture, UnlistedContract):
    pass


class TestMemoryInstances(MemoryStoreFixture, InstanceStoreContract):
    pass


class TestMemoryMembers(MemoryStoreFixture, MembersContract):
    pass


class TestMemoryInvitations(MemoryStoreFixture, InvitationsContract):
    pass


class TestMemoryOwners(MemoryStoreFixture, OwnersContract):
    pass


class TestMemoryWaiting(MemoryStoreFixture, WaitingContract):
    pass


class TestMemoryAudit(MemoryStoreFixture, AuditContract):
    pass


class TestMemoryRequests(MemoryStoreFixture, RequestContract):
    pass


class TestMemoryPresence(MemoryStoreFixture, PresenceContract):
    pass


class TestMemoryKeys(KeyContract):
    @pytest.fixture
    def keys(self) -> MemoryStore:
        return MemoryStore()


async def test_a_fault_before_the_effect_leaves_nothing_behind() -> None:
    memory = MemoryStore()
    session = await new_session(all_ports(memory))
    memory.fail_next("start_turn", StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        await memory.start_turn(turn_draft(session))
    assert await memory.get_session("ann", session.id) == session


async def test_a_fault_after_the_effect_loses_only_the_reply() -> None:
    memory = MemoryStore()
    session = await new_session(all_ports(memory))
    memory.fail_next("start_turn", StoreUnavailable(), after_effect=True, times=2)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await memory.start_turn(turn_draft(session))
    started = await memory.start_turn(turn_draft(session))
    assert (started.session.last_seq, memory.calls["start_turn"]) == (2, 3)


async def test_calls_hang_while_the_store_is_frozen() -> None:
    memory = MemoryStore()
    memory.freeze()
    call = asyncio.create_task(memory.register("i1"))
    done, _ = await asyncio.wait([call], timeout=0.02)
    assert not done
    memory.thaw()
    async with asyncio.timeout(1):
        assert (await call).instance_id == "i1"


class MemoryPins(MemoryPort):
    """A port as a later feature may bring it: rows of its own, beside the sessions that all ports share."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._pins: dict[str, int] = {}

    @port
    async def pin(self, user_id: str, session_id: str, seq: int) -> None:
        self._pins[self.rows.owned(user_id, session_id, "editor").head.id] = seq

    @port
    async def pinned(self, session_id: str) -> int | None:
        return self._pins.get(session_id)

    def forget_session(self, session_id: str) -> None:
        self._pins.pop(session_id, None)
        super().forget_session(session_id)


class StoreWithPins(MemoryStore, MemoryPins):
    pass


async def test_a_new_port_shares_sessions_and_faults_and_goes_with_its_session() -> None:
    memory = StoreWithPins()
    session = await new_session(all_ports(memory), "Hello")
    with pytest.raises(SessionNotFound):
        await memory.pin("eve", session.id, 1)
    await memory.pin("ann", session.id, 1)
    memory.fail_next("pinned", StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        await memory.pinned(session.id)
    assert await memory.pinned(session.id) == 1
    await memory.delete_session("ann", session.id)
    assert await memory.pinned(session.id) is None
