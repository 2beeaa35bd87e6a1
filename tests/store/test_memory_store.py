"""The memory store keeps the rules of the ports, and its faults do what they say."""

import asyncio

import pytest

from chat.errors import StoreUnavailable
from tests.store.builders import Stores, new_session, turn_draft
from tests.store.contract import ConversationStoreContract, InstanceStoreContract
from tests.store.key_contract import KeyContract
from tests.store.room_contract import MembersContract, PresenceContract, WaitingContract
from tests.store.turn_contract import TurnStoreContract
from tests.support.memory_store import MemoryStore


class MemoryStoreFixture:
    @pytest.fixture
    def store(self) -> Stores:
        memory = MemoryStore()
        return Stores(memory, memory, memory, memory, memory)


class TestMemoryConversations(MemoryStoreFixture, ConversationStoreContract):
    pass


class TestMemoryTurns(MemoryStoreFixture, TurnStoreContract):
    pass


class TestMemoryInstances(MemoryStoreFixture, InstanceStoreContract):
    pass


class TestMemoryMembers(MemoryStoreFixture, MembersContract):
    pass


class TestMemoryWaiting(MemoryStoreFixture, WaitingContract):
    pass


class TestMemoryPresence(MemoryStoreFixture, PresenceContract):
    pass


class TestMemoryKeys(KeyContract):
    @pytest.fixture
    def keys(self) -> MemoryStore:
        return MemoryStore()


async def test_a_fault_before_the_effect_leaves_nothing_behind() -> None:
    memory = MemoryStore()
    session = await new_session(Stores(memory, memory, memory, memory, memory))
    memory.fail_next("start_turn", StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        await memory.start_turn(turn_draft(session))
    assert await memory.get_session("ann", session.id) == session


async def test_a_fault_after_the_effect_loses_only_the_reply() -> None:
    memory = MemoryStore()
    session = await new_session(Stores(memory, memory, memory, memory, memory))
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
