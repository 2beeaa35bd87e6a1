"""The port to the service that holds the sockets.

All calls raise PushError when it does not answer, and PushRefused for what it will never take: a frame of more than
1 MB, for example.
"""

from typing import Protocol

from chat.events import JSONObject


class PushService(Protocol):
    """Sockets by their connection ids, and groups of them."""

    async def client_url(self, user_id: str, *, minutes: float) -> str:
        """An address that a client of this user can connect to for so many minutes. It may do nothing but send
        events."""
        ...

    async def add_to_group(self, group: str, connection_id: str) -> bool:
        """Once this is done the socket gets what is sent to the group. False when it is not there (yet); nothing
        happens when it is in the group."""
        ...

    async def remove_from_group(self, group: str, connection_id: str) -> None:
        """Nothing happens when it is not in there, or gone."""
        ...

    async def send_to_group(self, group: str, frame: JSONObject, *, but_user: str = "") -> None:
        """To every socket in the group, except those of one user. Frames that are awaited one after the other arrive
        in that order."""
        ...

    async def send_to_connection(self, connection_id: str, frame: JSONObject) -> bool:
        """False when it is gone."""
        ...

    async def close(self, connection_id: str, reason: str) -> None:
        """Nothing happens when it is gone."""
        ...

    async def remove_user(self, user_id: str, group: str) -> None:
        """Take all sockets of a user out of a group: no frame that is sent to it from now on reaches them."""
        ...

    async def close_group(self, group: str, reason: str) -> None:
        """Close every socket in the group."""
        ...

    async def count(self, group: str) -> int:
        """How many sockets are in the group. They are listed for it, 200 a request."""
        ...

    async def exists(self, connection_id: str) -> bool: ...

    async def aclose(self) -> None: ...


EVERYBODY = "all"
"""The group of every socket of the app. Nothing is sent to it."""


def group_of(session_id: str, dialect: str) -> str:
    """The sockets of one session that are shown its turns in one dialect. One enters once it saw what runs."""
    return f"s.{session_id}.{dialect}"


def instance_group(instance_id: str) -> str:
    """The sockets whose requests a process answers, by which they are closed when it dies: they ask again then."""
    return f"i.{instance_id}"


def key_group(key_id: str, dialect: str) -> str:
    """The sockets that were opened with an API key, by which they are closed when it is revoked."""
    return f"k.{key_id}.{dialect}"


def room_of(session_id: str, dialect: str) -> str:
    """Those of them that are told what else happens in the session, from the moment they open."""
    return f"s.{session_id}.{dialect}.room"
