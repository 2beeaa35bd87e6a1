"""Callers whom a server names that holds a key of the Functions host: the host lets nobody else in
(CHAT_HTTP_AUTH_LEVEL). Never of sockets, which come in by another door."""

from collections.abc import Mapping

from chat.auth.base import Authenticator, Principal
from chat.auth.bearer_token import sole_header
from chat.auth.identity import Identity
from chat.errors import Unauthenticated, ValidationError
from chat.user_ids import user_of_header


class HeaderAuthenticator(Authenticator):
    """`x-user-id`, with the roles of `x-user-roles`."""

    name = "header"

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        given = sole_header(headers, "x-user-id")
        if not given:
            return None
        try:
            user_id = user_of_header(given, "x-user-id")
        except ValidationError as error:
            raise Unauthenticated(f"x-user-id: {error.message}.") from None
        roles = [role.strip() for role in sole_header(headers, "x-user-roles").split(",")]
        return Principal(user_id, self._identity.roles([role for role in roles if role]))
