"""Leases and mailboxes of instances on the table `instances`: the port `InstanceStore`.

Rows of an instance's partition, in this order: `beat`, `mail-cancel-{turn}`, `mail-join-{turn}-{connection}`,
`mail-watch-{turn}`.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from chat.errors import StoreConflict, StoreError
from chat.events import TERMINAL_NUMBER
from chat.store.instance_store import InstanceLease, Join, LeaseLost, Mail
from chat.store.tables.table_client import Row, Table, key_range, quoted
from chat.store.tables.table_errors import RowChanged, RowMissing
from chat.store.tables.table_keys import escaped, unescaped
from chat.store.tables.table_properties import Entity, chunked, integer, joined
from chat.telemetry import record_error

BEAT, MAIL, BEYOND_MAIL = "beat", "mail-", "mail."
CANCEL, JOIN, WATCH = "mail-cancel-", "mail-join-", "mail-watch-"
ATTEMPTS = 3
STRAY = 3600.0  # seconds after which mail for an instance that has no lease is for nobody


class TableInstances:
    """Instances on the table `instances`."""

    def __init__(self, instances: Table) -> None:
        self._instances = instances

    async def register(self, instance_id: str) -> InstanceLease:
        lease = InstanceLease(instance_id, 0, 0.0)
        return replace(lease, version=await self._instances.upsert(_row(lease)))

    async def renew(self, lease: InstanceLease, turns: Sequence[str] = ()) -> InstanceLease:
        beaten = InstanceLease(lease.instance_id, lease.beat + 1, 0.0, turns=tuple(turns))
        version = lease.version
        for _ in range(ATTEMPTS):
            try:
                return replace(beaten, version=await self._instances.replace(_row(beaten), version))
            except RowMissing:
                raise LeaseLost from None
            except RowChanged:
                found = await self.read_lease(lease.instance_id)
            if found is None or found.fenced or found.beat > beaten.beat:
                raise LeaseLost
            version = found.version  # an earlier try of ours, whose reply did not come
        raise StoreConflict

    async def read_lease(self, instance_id: str) -> InstanceLease | None:
        row = await self._instances.get(escaped(instance_id), BEAT)
        return _lease(row) if row else None

    async def fence(self, lease: InstanceLease) -> bool:
        try:
            await self._instances.merge(_keys(lease.instance_id, BEAT) | {"fenced": True}, lease.version)
        except RowMissing:
            return True
        except RowChanged:
            found = await self.read_lease(lease.instance_id)
            return found is None or found.fenced
        return True

    async def retire(self, instance_id: str) -> None:
        await self._instances.delete_all(f"PartitionKey eq {quoted(escaped(instance_id))}")

    async def list_leases(self) -> list[InstanceLease]:
        rows = await self._instances.rows(f"RowKey eq {quoted(BEAT)}", patient=True)
        return [_lease(row) for row in rows]

    async def forget_strays(self) -> None:
        query = f"RowKey eq {quoted(BEAT)} or (RowKey ge {quoted(MAIL)} and RowKey lt {quoted(BEYOND_MAIL)})"
        rows = await self._instances.rows(query, select=("PartitionKey", "RowKey", "Timestamp"), patient=True)
        alive = {row.partition for row in rows if row.key == BEAT}
        await self._remove(
            [row for row in rows if row.key != BEAT and row.partition not in alive and row.age > STRAY]
        )

    async def post_cancel(self, instance_id: str, turn_id: str) -> None:
        await self._instances.upsert(_keys(instance_id, CANCEL + turn_id))

    async def post_watch(self, instance_id: str, turn_id: str) -> None:
        await self._instances.upsert(_keys(instance_id, WATCH + turn_id))

    async def post_join(self, instance_id: str, join: Join) -> None:
        row = _keys(instance_id, f"{JOIN}{join.turn_id}-{escaped(join.connection_id)}")
        fields = {"turn_id": join.turn_id, "connection_id": join.connection_id, "dialect": join.dialect}
        # -1 asks for what was said so far: a row has no null. No event has a higher number than the last.
        after = -1 if join.after is None else _bounded(join.after)
        await self._instances.upsert(row | fields | {"after": after, "further": _bounded(join.further)})

    async def take_mail(self, instance_id: str) -> Mail:
        rows = await self._instances.rows(key_range(escaped(instance_id), BEAT, BEYOND_MAIL))
        beats = [row for row in rows if row.key == BEAT]
        mail = [row for row in rows if row.key != BEAT]
        joins = tuple(_joins(row for row in mail if row.key.startswith(JOIN)))
        lease = _lease(beats[0]) if beats else None
        read = Mail(_named(mail, CANCEL), _named(mail, WATCH), joins, lease)
        await self._remove(mail)
        return read

    async def _remove(self, mail: Sequence[Row]) -> None:
        """What cannot be removed comes again, which does no harm; what was removed must not get lost."""
        deletes = (self._instances.delete(row.partition, row.key) for row in mail)
        for outcome in await asyncio.gather(*deletes, return_exceptions=True):
            # A failure of the store was logged where it came from.
            if isinstance(outcome, BaseException) and not isinstance(outcome, StoreError):
                raise outcome


def _keys(instance_id: str, key: str) -> Entity:
    return {"PartitionKey": escaped(instance_id), "RowKey": key}


def _bounded(number: int) -> int:
    return max(0, min(number, TERMINAL_NUMBER))


def _named(mail: Sequence[Row], prefix: str) -> frozenset[str]:
    return frozenset(row.key.removeprefix(prefix) for row in mail if row.key.startswith(prefix))


def _joins(rows: Iterable[Row]) -> Iterator[Join]:
    """One that cannot be read costs no other."""
    for row in rows:
        try:
            yield _join(row)
        except (KeyError, TypeError, ValueError) as error:
            record_error("mail_not_read", error, key=row.key)


def _join(row: Row) -> Join:
    values, after = row.values, integer(row.values["after"])
    seen = None if after < 0 else after
    further = integer(values.get("further", 0))
    return Join(values["turn_id"], values["connection_id"], values["dialect"], seen, further)


def _row(lease: InstanceLease) -> Entity:
    keys = _keys(lease.instance_id, BEAT)
    return keys | {"beat": lease.beat, "fenced": lease.fenced} | chunked("turns", " ".join(lease.turns))


def _lease(row: Row) -> InstanceLease:
    turns = tuple(joined(row.values, "turns").split())
    instance_id = unescaped(row.partition)
    return InstanceLease(instance_id, row.values["beat"], row.age, row.values["fenced"], turns, row.etag)
