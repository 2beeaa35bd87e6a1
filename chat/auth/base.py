"""Who asks. No principal, no data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from chat.credentials import Credential
from chat.credentials import Scope as Scope

ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller who is known. `user_id` is the key of everything that is theirs."""

    user_id: str
    roles: frozenset[str] = frozenset()  # in the organisation, as the identity says
    expires: datetime | None = None  # when the credential ends; None when nothing says so
    scopes: frozenset[Scope] | None = (
        None  # what the credential is limited to; None is everything its user may
    )
    by_cookie: bool = (
        False  # a browser sends it with whatever any page has it ask for: see chat/routes/origins.py
    )
    key_id: str = ""  # of the API key that they came with
    link: str = ""  # the turn that a link is good for: whoever came by it is nobody else

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @property
    def credential(self) -> Credential:
        """What limits whatever is opened by this caller and goes on after the request."""
        return Credential(self.expires, self.scopes, self.key_id)

    def may(self, scope: Scope) -> bool:
        """Whether the credential is good for this. What its user may do in a session is another question."""
        return self.credential.may(scope)


class Authenticator(Protocol):
    """One way to know a caller. `name` is what CHAT_AUTH calls it."""

    name: ClassVar[str] = ""
    presumes: ClassVar[bool] = False  # it knows whoever comes, also by nothing at all

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """None when these headers say nothing that this way understands. Unauthenticated when they lie: a credential
        that is there and wrong is never made up for by another. SignInUnavailable while nobody can tell.
        Header names are lower case; one that came twice is there twice, where the mapping allows it."""
        ...

    async def authenticate_socket(
        self, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]
    ) -> Principal | None:
        """The same for a socket that opens without negotiation. Its handshake went to the socket service: neither a
        function key nor the platform stood before that door, so what trusts in them knows nobody there."""
        return None
