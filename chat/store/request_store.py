"""The port of requests that come with an Idempotency-Key: what each of them was, and what it made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyedRequest:
    """A request that makes something, once. Its key is its user's: those of two users never meet."""

    user_id: str
    key: str  # as the caller sent it: any text of at most 255 characters
    digest: str  # of all that it asks for
    promised: str  # a ULID: the id of what it makes, where that can be chosen; it tells this request from all others
    made: Mapping[str, str] = field(default_factory=dict[str, str])
    """What came of it: `session_id`, `message_id`, `turn_id` and so on; empty while nothing has."""
    held: bool = True  # by somebody who makes it right now, unless they died
    age: float = 0.0  # seconds since any of this changed, by the store's clock
    version: str = ""


class RequestStore(Protocol):
    """A request is remembered until `forget_requests`."""

    async def claim_request(self, request: KeyedRequest) -> KeyedRequest:
        """Note that a request begins. As it is stored; or what is known of its key already: that one has another
        `promised`. StoreConflict when the key comes and goes."""
        ...

    async def find_made(self, user_id: str, key: str) -> Mapping[str, str]:
        """What came of the request of that key; empty where nothing has, or the key is not known."""
        ...

    async def hold_request(self, known: KeyedRequest) -> KeyedRequest | None:
        """Begin a request again, in place of who held it. None when it is no longer as it was read."""
        ...

    async def note_made(self, user_id: str, key: str, made: Mapping[str, str]) -> None:
        """Have what came of a request replace what was known of that. Nothing when the key is not known."""
        ...

    async def let_go(self, known: KeyedRequest) -> None:
        """Hold a request no more, of which nobody knows what came of it. Nothing when it is no longer as it was
        read."""
        ...

    async def free_key(self, known: KeyedRequest) -> None:
        """Forget a request that made nothing. Nothing when it is no longer as it was read."""
        ...

    async def forget_requests(self, *, before: datetime) -> int:
        """Forget those that came before then, but for some of the last day of them. How many."""
        ...
