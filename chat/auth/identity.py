"""From what an issuer says about somebody to the principal that they are here, by whatever way it came.

Who somebody is is the issuer and a claim that stays: `oid` of Entra ID, else `sub`, never an address. For the first
issuer that is trusted the user id is that claim itself; for every other one it begins with a mark of the issuer, so
that nobody there can be taken for somebody here (docs/decisions/0023).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from chat.auth.base import ADMIN, Principal
from chat.errors import Unauthenticated, ValidationError
from chat.settings import Settings
from chat.settings.issuers import has_object_ids
from chat.user_ids import read_user_id


@dataclass(frozen=True, slots=True)
class Identity:
    """How claims are read."""

    issuers: Sequence[str]  # whom this app trusts, in their one form; the first is home
    user_claim: str  # "" is `oid` or `sub`, as the issuer has it
    roles_claims: Sequence[str]
    admin_roles: frozenset[str]

    def principal(
        self,
        issuer: str,
        claims: Mapping[str, Any],
        *,
        expires: datetime | None = None,
        by_cookie: bool = False,
    ) -> Principal:
        """Whom these claims name, which were checked. Unauthenticated when they name nobody."""
        user_id = self._user_id(issuer, claims)
        return Principal(user_id, self.roles(self._claimed(claims)), expires, by_cookie=by_cookie)

    def roles(self, claimed: Sequence[str]) -> frozenset[str]:
        """The roles of a principal: `admin` is whom CHAT_ADMIN_ROLES says, and nobody else who is called so."""
        named = frozenset(claimed) - {ADMIN}
        return named | {ADMIN} if self.admin_roles.intersection(claimed) else named

    def _user_id(self, issuer: str, claims: Mapping[str, Any]) -> str:
        name = self.user_claim or ("oid" if has_object_ids(issuer) else "sub")
        value = _find(claims, name)
        if not isinstance(value, str) or not value:
            raise Unauthenticated(f"This sign-in names nobody: it has no `{name}`.")
        home, *others = self.issuers
        if issuer != home:
            value = f"{mark_of(issuer)}:{value}"
        elif value.startswith(tuple(f"{mark_of(other)}:" for other in others)):
            raise Unauthenticated(f"This `{name}` looks like a user of another issuer.")
        return _checked(name, value)

    def _claimed(self, claims: Mapping[str, Any]) -> list[str]:
        found: list[str] = []
        for name in self.roles_claims:
            value = _find(claims, name)
            each = cast("list[Any]", value) if isinstance(value, list) else [value]
            found += [role for role in each if isinstance(role, str)]
        return found


def read_identity(settings: Settings) -> Identity:
    """As the settings say."""
    trusted = dict.fromkeys((*settings.jwt_issuers, *settings.easyauth_issuers))
    return Identity(
        tuple(trusted), settings.user_claim, settings.roles_claims, frozenset(settings.admin_roles)
    )


def mark_of(issuer: str) -> str:
    """What the ids of an issuer's users begin with, where it is not the first one."""
    return hashlib.sha256(issuer.encode()).hexdigest()[:8] if "/" in issuer else issuer


def _find(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, which may be a URL with dots; else one within others. None."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, Mapping):
            return None
        value = cast("Mapping[str, Any]", value).get(part)
    return value


def _checked(name: str, value: str) -> str:
    """An id that is not as it would be kept might be that of two people: it is refused."""
    try:
        user_id = read_user_id(value)
    except ValidationError as error:
        raise Unauthenticated(f"This `{name}` cannot be a user id: {error.message}.") from None
    if user_id != value:
        raise Unauthenticated(f"This `{name}` cannot be a user id.")
    return user_id
