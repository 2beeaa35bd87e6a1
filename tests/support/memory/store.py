"""The store in memory, put together: one object for all ports.

store = MemoryStore(clock)                                  # `clock` may be left out
store.fail_next("append_events", StoreUnavailable())        # before anything is written
store.fail_next("end_turn", StoreUnavailable(), after_effect=True, times=2)   # written, but the reply got lost
store.freeze(); store.thaw()                                # calls hang in between
store.calls["append_events"]                                # how often it was called
"""

from chat.clock import Clock, SystemClock
from tests.support.memory.audit import MemoryAudit
from tests.support.memory.conversations import MemoryConversations
from tests.support.memory.errands import MemoryErrands
from tests.support.memory.instances import MemoryInstances
from tests.support.memory.keys import MemoryKeys
from tests.support.memory.members import MemoryMembers
from tests.support.memory.presence import MemoryPresence
from tests.support.memory.requests import MemoryRequests
from tests.support.memory.rows import Rows
from tests.support.memory.turns import MemoryTurns


class MemoryStore(
    MemoryConversations,
    MemoryMembers,
    MemoryTurns,
    MemoryInstances,
    MemoryErrands,
    MemoryPresence,
    MemoryAudit,
    MemoryKeys,
    MemoryRequests,
):
    """All ports over the same sessions; faults and counts are by the name of the call."""

    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(Rows(clock or SystemClock()))
