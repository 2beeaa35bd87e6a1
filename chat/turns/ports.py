"""What the parts of this folder reach the world by."""

from dataclasses import dataclass, field

from chat.clock import Clock, Ids
from chat.store.conversation_store import ConversationStore
from chat.store.errand_store import ErrandStore
from chat.store.instance_store import InstanceStore
from chat.store.turn_store import TurnStore
from chat.turns.records import Records


@dataclass(frozen=True, slots=True)
class TurnPorts:
    """Where turns, and what they belong to, are kept; the time and the ids; and what is
    logged of what begins."""

    conversations: ConversationStore
    turns: TurnStore
    instances: InstanceStore
    errands: ErrandStore
    clock: Clock
    ids: Ids
    records: Records = field(default_factory=Records)


@dataclass(frozen=True, slots=True)
class TurnLimits:
    """How much a turn may have of what costs."""

    duration: float  # seconds
    window: float  # seconds in which adjacent deltas are merged
    history: int  # messages that the model is shown, at most
