"""Callers on a laptop: they are who they say they are. Never in Azure (docs/protocol.md, section 9)."""

from collections.abc import Mapping

from chat.auth.base import Authenticator, Principal
from chat.user_ids import user_of_header


class DevAuthenticator(Authenticator):
    """`x-dev-user`, by default `dev`, with the roles of `x-dev-roles`."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        given = headers.get("x-dev-user", "").strip()
        user_id = user_of_header(given, "x-dev-user") if given else "dev"
        roles = (role.strip() for role in headers.get("x-dev-roles", "").split(","))
        return Principal(user_id, frozenset(role for role in roles if role))
