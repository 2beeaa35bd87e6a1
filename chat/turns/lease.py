"""How a process says that it lives, and how others learn that it does not.

One lease an instance, not one a turn: its turns die with it, so they live by one row, and a beat costs the same for
300 turns as for one. Times of a lease are the service's own; a local clock decides nothing.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

from chat.clock import Clock
from chat.errors import StoreError
from chat.store.instance_store import InstanceLease, InstanceStore, LeaseLost, Mail
from chat.telemetry import record, record_error
from chat.turns.ports import TurnPorts

BEAT = 3.0  # seconds between two beats
NOTE = 0.5  # seconds after a beat at which the next one may name new turns
LEASE = 12.0  # seconds after the last beat at which a lease may be found expired
FRESH = 8.0  # a renewal older than this is renewed again before anything is written under the lease
MAIL = 0.3  # seconds between two looks into the mailbox
IDLE = 10.0  # seconds without a turn after which the lease is given back


async def lives(instances: InstanceStore, instance_id: str) -> bool:
    """Whether the instance has a good lease: it reads its mail, and may still be telling the ends of its turns.
    StoreError."""
    lease = await instances.read_lease(instance_id)
    return lease is not None and not lease.fenced and lease.age <= LEASE


class Tenant(Protocol):
    """Those who live by a lease: the turns of a process."""

    @property
    def busy(self) -> bool:
        """Whether the lease is needed."""
        ...

    @property
    def turn_ids(self) -> Sequence[str]:
        """The turns that die with it, for a beat to name."""
        ...

    def lease_lost(self, instance_id: str) -> None:
        """Its turns belong to whoever ends them."""
        ...


class LeaseKeeper:
    """This process's lease and mailbox. Nothing runs and nothing is stored while there are no turns."""

    def __init__(self, ports: TurnPorts, tenant: Tenant) -> None:
        self._store, self._ids, self._clock = ports.instances, ports.ids, ports.clock
        self._tenant = tenant
        self._readers: list[Callable[[Mail], None]] = []
        self._lease: InstanceLease | None = None
        self._renewed = 0.0  # when the last good renewal began
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._noted = asyncio.Event()

    def deliver_to(self, reader: Callable[[Mail], None]) -> None:
        """Have `reader` read the mail. It returns at once."""
        self._readers.append(reader)

    @property
    def instance_id(self) -> str:
        """Of the lease that is held; "" when none is."""
        return self._lease.instance_id if self._lease is not None else ""

    async def ensure(self) -> str:
        """The id of an instance whose lease is fresh: made or renewed first where needed. StoreUnavailable."""
        async with self._lock:
            lease = self._lease
            if lease is not None and not self._fresh():
                lease = await self._renewed_or_none(lease)
            if lease is None:
                lease = await self._register()
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._keep(), context=Context())
            return lease.instance_id

    async def confirm(self, instance_id: str) -> None:
        """Before writing under the lease: renew it unless it is fresh. LeaseLost, StoreUnavailable."""
        if self._lease is not None and self._lease.instance_id == instance_id and self._fresh():
            return
        async with self._lock:
            if self._lease is None or self._lease.instance_id != instance_id:
                raise LeaseLost
            if not self._fresh() and await self._renewed_or_none(self._lease) is None:
                raise LeaseLost

    def note(self) -> None:
        """There are turns that no beat has named yet: beat soon."""
        self._noted.set()

    async def close(self, *, give_back: bool) -> None:
        """Stop beating. The lease is given back only when no turn is left under it: by it others find them."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if give_back:
            await self._retire()
        elif self._lease is not None:
            with contextlib.suppress(StoreError):
                await self._renewed_or_none(self._lease)  # names what is left

    def _fresh(self) -> bool:
        return self._clock.monotonic() - self._renewed < FRESH

    async def _register(self) -> InstanceLease:
        began = self._clock.monotonic()
        self._lease = await self._store.register(self._ids.new())
        self._renewed = began
        return self._lease

    async def _renewed_or_none(self, lease: InstanceLease) -> InstanceLease | None:
        began = self._clock.monotonic()
        try:
            self._noted.clear()
            self._lease = await self._store.renew(lease, self._tenant.turn_ids)
        except LeaseLost:
            self._lose()
            return None
        self._renewed = began
        return self._lease

    def _lose(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            record("lease_lost", instance_id=lease.instance_id)
            self._tenant.lease_lost(lease.instance_id)

    async def _keep(self) -> None:
        beating = asyncio.create_task(self._beat())
        try:
            while True:
                await self._read_mail()
                async with self._lock:
                    if self._lease is None or not self._tenant.busy:
                        self._task = None  # while locked: the next `ensure` starts anew
                        await self._retire()
                        return
        finally:
            beating.cancel()

    async def _beat(self) -> None:
        while True:
            await self._until_due()
            try:
                async with self._lock:
                    if self._lease is not None:
                        await self._renewed_or_none(self._lease)
            except StoreError:
                continue  # tried again after MAIL seconds; others wait for LEASE
            except Exception as error:
                record_error("beat_failed", error)

    async def _until_due(self) -> None:
        """BEAT seconds after the last renewal, or NOTE seconds when there is a turn to name."""
        await asyncio.sleep(max(self._renewed + NOTE - self._clock.monotonic(), MAIL))
        due = self._renewed + BEAT - self._clock.monotonic()
        if due > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._noted.wait(), due)

    async def _read_mail(self) -> None:
        """Look for mail until there was no turn for IDLE seconds, or the lease is gone."""
        quiet_since = self._clock.monotonic()
        while self._clock.monotonic() - quiet_since < IDLE and (lease := self._lease) is not None:
            if self._tenant.busy:
                quiet_since = self._clock.monotonic()
            await self._take_mail(
                lease
            )  # also what comes just after a turn's end: somebody waits to be shown it
            await asyncio.sleep(MAIL)

    async def _take_mail(self, lease: InstanceLease) -> None:
        try:
            mail = await self._store.take_mail(lease.instance_id)
        except StoreError:
            return None
        except Exception as error:
            record_error("mail_failed", error)
            return None
        if self._lease is None or self._lease.instance_id != lease.instance_id:
            return None
        if mail.lease is None or mail.lease.fenced:
            return self._lose()
        try:
            for reader in self._readers:
                reader(mail)
        except Exception as error:  # the beat must go on, whatever was in the mail
            record_error("mail_failed", error)

    async def _retire(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            try:
                await self._store.retire(lease.instance_id)
            except StoreError as error:
                record("retire_failed", instance_id=lease.instance_id, code=error.code)


@dataclass(slots=True)
class _Sighting:
    beat: int
    first: float  # when this beat was first read
    last: float
    expired: bool = False


class LeaseObserver:
    """Whether another instance is dead. Expired means: over LEASE seconds old by the service's clock, and the same
    beat was read twice, at least BEAT seconds apart, with no failed read in between. A lease that is gone or fenced
    needs no second look: its owner makes no turns, or drops them."""

    def __init__(self, store: InstanceStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, _Sighting] = {}

    async def expired(self, instance_id: str) -> bool:
        """Cheap to ask often: the store is read at most every BEAT seconds."""
        seen = self._seen.get(instance_id)
        if seen is not None and self._clock.monotonic() - seen.last < BEAT:
            return seen.expired
        try:
            lease = await self._store.read_lease(instance_id)
        except StoreError:
            self._seen.pop(instance_id, None)
            return False
        return self.observe(instance_id, lease)

    async def dead(self) -> list[InstanceLease]:
        """All that are expired by now, by one reading of every lease. StoreError."""
        began = self._clock.monotonic()
        try:
            leases = await self._store.list_leases()
        except StoreError:
            self._seen.clear()
            raise
        if self._clock.monotonic() - began > BEAT:  # tries of it failed: so may the beats of the others have
            self._seen.clear()
        return [each for each in leases if self.observe(each.instance_id, each)]

    def observe(self, instance_id: str, lease: InstanceLease | None) -> bool:
        """Take a reading of a lease into account."""
        now = self._clock.monotonic()
        if lease is None or lease.fenced:
            return True
        seen = self._seen.get(instance_id)
        if seen is None or seen.beat != lease.beat:
            self._forget_old(now)
            self._seen[instance_id] = _Sighting(lease.beat, now, now)
            return False
        seen.last = now
        seen.expired = lease.age > LEASE and now - seen.first >= BEAT
        return seen.expired

    def _forget_old(self, now: float) -> None:
        for instance_id in [key for key, seen in self._seen.items() if now - seen.last > 10 * LEASE]:
            del self._seen[instance_id]
