"""Callers on a laptop: they are who they say they are. Never in Azure (docs/protocol.md, section 9)."""

from collections.abc import Mapping

from chat.auth.base import Authenticator, Principal
from chat.errors import ValidationError

MAX_USER_ID = 255


class DevAuthenticator(Authenticator):
    """`x-dev-user`, by default `dev`, with the roles of `x-dev-roles`."""

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        user_id = headers.get("x-dev-user", "").strip() or "dev"
        if len(user_id) > MAX_USER_ID:
            raise ValidationError("x-dev-user", f"A user id has at most {MAX_USER_ID} characters")
        roles = (role.strip() for role in headers.get("x-dev-roles", "").split(","))
        return Principal(user_id, frozenset(role for role in roles if role))
