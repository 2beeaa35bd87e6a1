"""Who asks. No principal, no data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who is known. `user_id` is the key of everything that is theirs."""

    user_id: str
    roles: frozenset[str] = frozenset()


class Authenticator(Protocol):
    """One way to know a caller."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """None when these headers say nothing that this way understands. Unauthenticated when they lie.
        Header names are lower case."""
        ...

    async def authenticate_socket(
        self, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]
    ) -> Principal | None:
        """The same for a socket that opens without negotiation. Its handshake went to the socket service: neither a
        function key nor the platform stood before that door, so what trusts in them knows nobody there."""
        return None
