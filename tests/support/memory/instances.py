"""Leases and mailboxes, in memory."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chat.store.instance_store import InstanceLease, Join, LeaseLost, Mail
from tests.support.faults import port
from tests.support.memory.rows import MemoryPort, Rows


@dataclass
class Mailbox:
    """What others left for an instance."""

    cancels: set[str] = field(default_factory=set[str])
    watches: set[str] = field(default_factory=set[str])
    joins: list[Join] = field(default_factory=list[Join])


class MemoryInstances(MemoryPort):
    """An `InstanceStore`."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(rows)
        self._leases: dict[str, InstanceLease] = {}  # their `age` is the moment of the last beat
        self._boxes: dict[str, Mailbox] = defaultdict(Mailbox)

    @port
    async def register(self, instance_id: str) -> InstanceLease:
        return self._beat(InstanceLease(instance_id, 0, 0.0))

    @port
    async def renew(self, lease: InstanceLease, turns: Sequence[str] = ()) -> InstanceLease:
        stored = self._leases.get(lease.instance_id)
        if stored is None or stored.fenced or stored.beat not in (lease.beat, lease.beat + 1):
            raise LeaseLost
        return self._beat(replace(lease, beat=lease.beat + 1, turns=tuple(turns)))

    @port
    async def read_lease(self, instance_id: str) -> InstanceLease | None:
        return self._lease(instance_id)

    @port
    async def fence(self, lease: InstanceLease) -> bool:
        stored = self._leases.get(lease.instance_id)
        if stored is None or stored.fenced:
            return True
        if stored.version != lease.version:
            return False
        self._leases[lease.instance_id] = replace(stored, fenced=True, version=self.rows.next_version())
        return True

    @port
    async def retire(self, instance_id: str) -> None:
        self._leases.pop(instance_id, None)
        self._boxes.pop(instance_id, None)

    @port
    async def list_leases(self) -> list[InstanceLease]:
        leases = [self._lease(instance_id) for instance_id in sorted(self._leases)]
        return [lease for lease in leases if lease is not None]

    @port
    async def forget_strays(self) -> None:
        """No mail of a test gets so old."""

    @port
    async def post_cancel(self, instance_id: str, turn_id: str) -> None:
        self._boxes[instance_id].cancels.add(turn_id)

    @port
    async def post_watch(self, instance_id: str, turn_id: str) -> None:
        self._boxes[instance_id].watches.add(turn_id)

    @port
    async def post_join(self, instance_id: str, join: Join) -> None:
        self._boxes[instance_id].joins.append(join)

    @port
    async def take_mail(self, instance_id: str) -> Mail:
        box = self._boxes[instance_id]
        lease = self._lease(instance_id)
        mail = Mail(frozenset(box.cancels), frozenset(box.watches), tuple(box.joins), lease)
        box.cancels.clear()
        box.watches.clear()
        box.joins.clear()
        return mail

    def _beat(self, lease: InstanceLease) -> InstanceLease:
        beaten = replace(lease, age=self.clock.monotonic(), version=self.rows.next_version())
        self._leases[lease.instance_id] = beaten
        return replace(beaten, age=0.0)

    def _lease(self, instance_id: str) -> InstanceLease | None:
        lease = self._leases.get(instance_id)
        return lease and replace(lease, age=self.clock.monotonic() - lease.age)
