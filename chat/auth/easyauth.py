"""Callers whom App Service Authentication ("Easy Auth") signed in, as its headers tell.

The platform takes these headers away from whoever else writes them, as long as it signs people in; so this way is built
only where it says so (`chat/settings/__init__.py`, `easy_auth_is_on`).
https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities,
https://learn.microsoft.com/azure/static-web-apps/user-information
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, cast

import orjson

from chat.auth.base import Authenticator, Principal
from chat.auth.bearer_token import sole_header
from chat.auth.identity import Identity
from chat.errors import Unauthenticated
from chat.settings.issuers import canonical, entra_issuer

PRINCIPAL = "x-ms-client-principal"
MAX_PRINCIPAL = 64 * 1024  # characters; the platform bounds headers far below
STATIC_WEB_APPS = "swa"
COOKIES = ("AppServiceAuthSession", "StaticWebAppsAuthCookie")
SCHEMAS = "http://schemas.microsoft.com/"
CLAIMS: Mapping[str, str] = {
    f"{SCHEMAS}identity/claims/objectidentifier": "oid",
    f"{SCHEMAS}identity/claims/tenantid": "tid",
    f"{SCHEMAS}ws/2008/06/identity/claims/role": "roles",
    f"{SCHEMAS}ws/2008/06/identity/claims/groups": "groups",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier": "sub",
}
"""What the platform calls a claim that tokens know by a short name."""


class EasyAuthAuthenticator(Authenticator):
    """`x-ms-client-principal`, `x-ms-client-principal-id` and `x-ms-client-principal-idp`."""

    name = "easyauth"

    def __init__(self, identity: Identity, issuers: Iterable[str]) -> None:
        """`issuers`: whose sign-in is believed."""
        self._identity, self._issuers = identity, frozenset(issuers)

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        encoded, user = sole_header(headers, PRINCIPAL), sole_header(headers, f"{PRINCIPAL}-id")
        if not encoded and not user:
            return None
        told = _read(encoded) if encoded else {}
        claims = _claims(told.get("claims"))
        name = sole_header(headers, f"{PRINCIPAL}-idp") or str(told.get("auth_typ") or "")
        if "userRoles" in told or "identityProvider" in told:
            name, user = STATIC_WEB_APPS, str(told.get("userId") or "")
            claims.setdefault("roles", told.get("userRoles"))
        issuer = self._issuer(claims, name.lower())
        if "/" not in issuer and user:  # a provider without tokens names people by this header alone
            claims["sub"] = user
        by_cookie = comes_by_cookie(headers)
        return self._identity.principal(
            issuer, claims, expires=None if by_cookie else _end(claims), by_cookie=by_cookie
        )

    def _issuer(self, claims: Mapping[str, Any], name: str) -> str:
        """Whoever signed them in, as tokens call it, else by the name of the provider."""
        said, tenant = claims.get("iss"), claims.get("tid")
        if isinstance(said, str):
            found = canonical(said)
        else:
            found = entra_issuer(tenant) if isinstance(tenant, str) and name == "aad" else name
        if trusted := {found, name} & self._issuers:
            return found if found in trusted else name
        raise Unauthenticated("Sign-in by this issuer is not trusted here: see CHAT_EASYAUTH_ISSUER.")


def comes_by_cookie(headers: Mapping[str, str]) -> bool:
    """Whether the browser signed in by itself. A page of another origin cannot send the headers that else do it
    (`Authorization`, `X-ZUMO-AUTH`), unless CORS lets it."""
    if any(name in headers.get("cookie", "") for name in COOKIES):
        return True
    return not (headers.get("authorization") or headers.get("x-zumo-auth"))


def _read(encoded: str) -> dict[str, Any]:
    try:
        if len(encoded) > MAX_PRINCIPAL:
            raise ValueError
        text = encoded + "=" * (-len(encoded) % 4)
        told = orjson.loads(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        told = None
    if not isinstance(told, dict):
        raise Unauthenticated(f"{PRINCIPAL} cannot be read.")
    return cast("dict[str, Any]", told)


def _claims(told: Any) -> dict[str, Any]:
    """`[{"typ", "val"}, ...]` as tokens have them: a claim that comes with several values is a list."""
    found: dict[str, list[str]] = {}
    for each in cast("list[Any]", told) if isinstance(told, list) else []:
        claim = cast("dict[str, Any]", each) if isinstance(each, dict) else {}
        name, value = claim.get("typ"), claim.get("val")
        if isinstance(name, str) and isinstance(value, str):
            values = found.setdefault(CLAIMS.get(name, name), [])
            if value not in values:
                values.append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _end(claims: Mapping[str, Any]) -> datetime | None:
    """When the token ends that was sent along. The claims of a session keep the time of the token that it began with,
    which it outlives."""
    said = claims.get("exp")
    if not isinstance(said, str) or not said.isdecimal() or len(said) > 11:
        return None
    return datetime.fromtimestamp(int(said), UTC)
