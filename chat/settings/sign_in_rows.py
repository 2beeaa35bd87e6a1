"""The settings of who may ask, and what must be set together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chat.settings.issuers import read_issuers, read_providers_of_sign_in
from chat.settings.setting_row import setting
from chat.settings.values import (
    ALGORITHMS,
    WAYS,
    read_algorithms,
    read_claims,
    read_count,
    read_key_url,
    read_level,
    read_names,
    read_origins,
    read_user_claim,
    read_ways,
)


@dataclass(frozen=True, kw_only=True)
class SignInSettings:
    """Part of `Settings`."""

    auth: tuple[str, ...] = setting(
        "CHAT_AUTH",
        "dev",
        f"Who may ask: ways to know a caller, tried in order, some of {', '.join(WAYS)} ([what each needs]"
        "(sign-in.md)). `dev` is for laptops, and counts nowhere else.",
        read_ways,
    )
    key_days: int = setting(
        "CHAT_KEY_MAX_DAYS",
        "365",
        "The longest life of an API key, in days; without a wish it is 90.",
        read_count,
    )
    jwt_issuers: tuple[str, ...] = setting(
        "CHAT_JWT_ISSUER",
        "",
        "Whose tokens `jwt` believes: an OpenID Connect issuer, such as "
        "`https://login.microsoftonline.com/<tenant id>/v2.0`. Further ones follow with commas, and their users' ids "
        "begin with a mark of the issuer; the first must stay the first.",
        read_issuers,
    )
    jwt_audiences: tuple[str, ...] = setting(
        "CHAT_JWT_AUDIENCE",
        "",
        "Whom those tokens must be for (`aud`): this app, as the issuer calls it. Several with commas.",
        read_names,
    )
    jwt_keys_url: str = setting(
        "CHAT_JWT_JWKS_URL",
        "",
        "Where the keys of the issuer are (JWKS), for one that does not tell by "
        "`/.well-known/openid-configuration`.",
        read_key_url,
    )
    jwt_algorithms: tuple[str, ...] = setting(
        "CHAT_JWT_ALGORITHMS",
        "RS256,PS256,ES256,EdDSA",
        f"How those tokens may be signed: some of {', '.join(ALGORITHMS)}.",
        read_algorithms,
    )
    user_claim: str = setting(
        "CHAT_JWT_USER_CLAIM",
        "",
        "Which claim says who somebody is, in tokens and behind Easy Auth; by default `oid` of Entra ID and `sub` of "
        "others. One that stays and is never given to another, so no address and no name.",
        read_user_claim,
    )
    roles_claims: tuple[str, ...] = setting(
        "CHAT_JWT_ROLES_CLAIM",
        "roles",
        "Which claims name somebody's roles, with commas between; `realm_access.roles` is one within another.",
        read_claims,
    )
    admin_roles: tuple[str, ...] = setting(
        "CHAT_ADMIN_ROLES",
        "admin",
        "Which of those roles make an admin of this app, with commas between. `x-dev-roles` is not asked for these.",
        read_names,
    )
    easyauth_issuers: tuple[str, ...] = setting(
        "CHAT_EASYAUTH_ISSUER",
        "",
        "Whose sign-in `easyauth` believes: an issuer as above, or the name of a provider that has none (`github`, "
        "`facebook`, ...; `swa` for Static Web Apps). Several with commas. By default the issuers of CHAT_JWT_ISSUER.",
        read_providers_of_sign_in,
    )
    cookie_origins: frozenset[str] = setting(
        "CHAT_COOKIE_ORIGINS",
        "",
        "The origins of web pages, beside the app's own, that may change something for whom a cookie signs in "
        "(`easyauth`), such as `https://chat.example.com`.",
        read_origins,
    )
    http_auth_level: str = setting(
        "CHAT_HTTP_AUTH_LEVEL",
        "ANONYMOUS",
        "The key that the Functions host asks for: ANONYMOUS, FUNCTION or ADMIN.",
        read_level,
    )


def missing_for_sign_in(values: Mapping[str, Any], *, easy_auth: bool) -> list[str]:
    """What is wrong with settings of which each alone is right, a line for each. `easy_auth`: App Service says that it
    signs people in. Settings that could not be read are left out of `values`."""
    ways: tuple[str, ...] = values.get("CHAT_AUTH", ())
    issuers: tuple[str, ...] | None = values.get("CHAT_JWT_ISSUER")
    lines: list[str] = []
    if "jwt" in ways:
        lines += [
            f"{name}: missing; CHAT_AUTH names jwt, which needs it"
            for name in ("CHAT_JWT_ISSUER", "CHAT_JWT_AUDIENCE")
            if values.get(name) == ()
        ]
    if values.get("CHAT_JWT_JWKS_URL") and issuers and len(issuers) > 1:
        lines.append("CHAT_JWT_JWKS_URL: can be given for one issuer alone; CHAT_JWT_ISSUER names several")
    if "easyauth" in ways and not easy_auth:
        lines.append(
            "CHAT_AUTH: easyauth counts only where App Service Authentication is on (WEBSITE_AUTH_ENABLED is not "
            "true): without it anybody could write its headers"
        )
    if "easyauth" in ways and issuers == () == values.get("CHAT_EASYAUTH_ISSUER"):
        lines.append("CHAT_EASYAUTH_ISSUER: missing; CHAT_AUTH names easyauth, which needs it")
    if "header" in ways and values.get("CHAT_HTTP_AUTH_LEVEL") == "ANONYMOUS":
        lines.append(
            "CHAT_HTTP_AUTH_LEVEL: must be FUNCTION or ADMIN; CHAT_AUTH names header, which believes whoever holds a "
            "key of the Functions host"
        )
    return lines
