"""Callers on a laptop: they are who they say they are. Never in Azure (docs/protocol.md, section 9)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from chat.auth.base import Authenticator, Principal
from chat.user_ids import read_user_id, user_of_header


class DevAuthenticator(Authenticator):
    """`x-dev-user`, by default `dev`, with the roles of `x-dev-roles`."""

    name = "dev"
    presumes = True

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        given = headers.get("x-dev-user", "").strip()
        user_id = user_of_header(given, "x-dev-user") if given else "dev"
        roles = (role.strip() for role in headers.get("x-dev-roles", "").split(","))
        return Principal(user_id, frozenset(role for role in roles if role))

    async def authenticate_socket(
        self, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]
    ) -> Principal | None:
        """`?user_id=` for web pages, which cannot send headers with a handshake."""
        said = await self.authenticate(headers)
        named = next(iter(query.get("user_id", ())), "")
        return replace(said, user_id=read_user_id(named)) if named and said else said
