"""Hubs: their connections, users and groups, and who gets a message."""

from collections.abc import Callable, Container, Iterable, Iterator

from local.pubsub_service.connections import Connection
from local.pubsub_service.frames import Message

type Matches = Callable[[Connection], bool]


class Hub:
    """One hub's connections, in the order in which they came."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections: dict[str, Connection] = {}
        self._groups: dict[str, dict[str, Connection]] = {}
        self._users: dict[str, dict[str, Connection]] = {}

    def add(self, connection: Connection) -> None:
        self.connections[connection.id] = connection
        if connection.user_id:
            self._users.setdefault(connection.user_id, {})[connection.id] = connection

    def remove(self, connection: Connection) -> bool:
        """False when it was gone already."""
        if self.connections.pop(connection.id, None) is None:
            return False
        for group in list(connection.groups):
            self.leave(connection, group)
        _drop(self._users, connection.user_id, connection)
        return True

    def join(self, connection: Connection, group: str) -> None:
        connection.groups[group] = None
        self._groups.setdefault(group, {})[connection.id] = connection

    def leave(self, connection: Connection, group: str) -> None:
        connection.groups.pop(group, None)
        _drop(self._groups, group, connection)

    def members(self, group: str) -> list[Connection]:
        return list(self._groups.get(group, {}).values())

    def of_user(self, user_id: str) -> list[Connection]:
        return list(self._users.get(user_id, {}).values())

    def all(self) -> list[Connection]:
        return list(self.connections.values())


def deliver(
    message: Message,
    to: Iterable[Connection],
    *,
    excluded: Container[str] = (),
    matches: Matches | None = None,
) -> None:
    """Give a message to all but the excluded, as far as the filter lets them pass."""
    for each in to:
        if each.id not in excluded and (matches is None or matches(each)):
            each.deliver(message)


class Hubs:
    """All hubs, by their names in lower case. One comes into being when it is first named."""

    def __init__(self) -> None:
        self._hubs: dict[str, Hub] = {}

    def get(self, name: str) -> Hub:
        return self._hubs.setdefault(name.lower(), Hub(name.lower()))

    def __iter__(self) -> Iterator[Hub]:
        return iter(list(self._hubs.values()))

    def connection(self, connection_id: str) -> Connection | None:
        return next(
            (each.connections[connection_id] for each in self if connection_id in each.connections), None
        )


def _drop(index: dict[str, dict[str, Connection]], name: str, connection: Connection) -> None:
    members = index.get(name)
    if members is not None:
        members.pop(connection.id, None)
        if not members:
            del index[name]
