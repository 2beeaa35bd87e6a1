"""Callers with a token of an OpenID Connect issuer (RFC 6750, RFC 7519; what is refused follows RFC 8725).

`Authorization: Bearer <token>`; of a socket without negotiation `x-chat-authorization`, under which a gateway passes
that header on, or `?token=`, for web pages, which can send no header.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from chat.auth.base import Authenticator, Principal
from chat.auth.bearer_token import bearer_token, sole_header
from chat.auth.identity import Identity
from chat.auth.signing_keys import SigningKey, SigningKeys
from chat.clock import Clock
from chat.errors import Unauthenticated
from chat.settings.issuers import canonical

MAX_TOKEN = 16 * 1024  # characters; one with many groups in it has several thousand
LEEWAY = 10.0  # seconds that the clocks of issuer and app may differ
LAST = 253402300799  # seconds from 1970 to the end of the year 9999, which no time can be after
KEPT = 2000  # tokens that were checked and are still good
TYPES = ("", "jwt", "at+jwt", "application/at+jwt")  # RFC 9068 section 4; others are no access tokens
KINDS: Mapping[str, tuple[str, str]] = {
    **{f"{family}{size}": ("RSA", "") for family in ("RS", "PS") for size in (256, 384, 512)},
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
    "EdDSA": ("OKP", "Ed25519"),
}
"""Key type and curve that an algorithm is for."""
CHECKED: Any = {
    **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_sub", "verify_jti"), False),
    "require": ["iss", "aud", "exp"],
}
"""What of the claims the library checks: the audience. Times are checked here, by the app's clock."""


@dataclass(frozen=True, slots=True)
class Known:
    """A token that was checked."""

    principal: Principal
    issuer: str
    key: SigningKey
    begins: float
    ends: float  # seconds since 1970, as the token says


class BearerAuthenticator(Authenticator):
    """Tokens of the issuers whose keys these are."""

    name = "jwt"

    def __init__(
        self,
        identity: Identity,
        keys: Mapping[str, SigningKeys],
        *,
        audiences: Sequence[str],
        algorithms: Sequence[str],
        clock: Clock,
        others: tuple[str, ...] = (),
    ) -> None:
        """`keys` by issuer, in its one form. `others`: what the tokens begin with that are another way's."""
        self._identity, self._keys, self._clock = identity, keys, clock
        self._audiences, self._algorithms, self._others = audiences, frozenset(algorithms), others
        self._known: dict[bytes, Known] = {}

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        said = sole_header(headers, "authorization")
        return await self._check(bearer_token(said)) if said else None

    async def authenticate_socket(
        self, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]
    ) -> Principal | None:
        said = sole_header(headers, "x-chat-authorization")
        given = {*query.get("token", ()), *([bearer_token(said)] if said else [])}
        if len(given) > 1:
            raise Unauthenticated("There is more than one token.")
        return await self._check(given.pop()) if given else None

    async def aclose(self) -> None:
        for each in self._keys.values():
            await each.aclose()

    async def _check(self, token: str) -> Principal | None:
        """Whom a token names. None when it is for another way; Unauthenticated, SignInUnavailable."""
        if self._others and token.startswith(self._others):
            return None
        if len(token) > MAX_TOKEN:
            raise Unauthenticated("The token is too long.")
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._known.get(digest)
        if known is None or not self._keys[known.issuer].holds(known.key):
            known = await self._verify(token)
        self._check_times(known)
        self._keep(digest, known)
        return known.principal

    async def _verify(self, token: str) -> Known:
        try:
            seen = jwt.decode_complete(token, options={"verify_signature": False})
            issuer = self._issuer(seen["payload"])
            algorithm, key_id = self._read_header(seen["header"])
            key = await self._keys[issuer].find(key_id, algorithm, KINDS[algorithm])
            if key is None:
                raise Unauthenticated("The token is signed by a key that its issuer does not have.")
            public = jwt.PyJWK(key.jwk, algorithm).key
            claims = jwt.decode(token, public, [algorithm], CHECKED, audience=self._audiences)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise Unauthenticated(_reason(error)) from None
        begins, ends = _time(claims, "nbf", 0.0), _time(claims, "exp", math.nan)
        last = datetime.fromtimestamp(min(ends + LEEWAY, LAST), UTC)  # what it opened ends when it is refused
        principal = self._identity.principal(issuer, claims, expires=last)
        return Known(principal, issuer, key, begins, ends)

    def _issuer(self, claims: Mapping[str, Any]) -> str:
        said = claims.get("iss")
        issuer = canonical(said) if isinstance(said, str) else ""
        if issuer not in self._keys:
            raise Unauthenticated("The issuer of this token is not trusted here.")
        return issuer

    def _read_header(self, header: Mapping[str, Any]) -> tuple[str, str]:
        """Algorithm and name of the key. What else a header may say of its key (`jku`, `x5u`, `jwk`, `x5c`) is not
        looked at: whoever made the token said it."""
        algorithm, key_id, kind = header.get("alg"), header.get("kid", ""), header.get("typ", "")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Unauthenticated("The token is signed in a way that is not allowed here.")
        if not isinstance(key_id, str) or not isinstance(kind, str) or kind.lower() not in TYPES:
            raise Unauthenticated("The token is not an access token.")
        if "crit" in header or "b64" in header or "enc" in header:
            raise Unauthenticated("The token asks for what is not known here.")
        return algorithm, key_id

    def _check_times(self, known: Known) -> None:
        now = self._clock.now().timestamp()
        if now >= known.ends + LEEWAY:
            raise Unauthenticated("The token has expired.")
        if now < known.begins - LEEWAY:
            raise Unauthenticated("The token is not good yet.")

    def _keep(self, digest: bytes, known: Known) -> None:
        """The token that was used longest ago goes first."""
        self._known.pop(digest, None)
        self._known[digest] = known
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]


def _time(claims: Mapping[str, Any], name: str, default: float) -> float:
    """Seconds since 1970. Unauthenticated for what is no time."""
    said = claims.get(name, default)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= LAST:
        raise Unauthenticated(f"The token's `{name}` is not a time.")
    return float(said)


def _reason(error: Exception) -> str:
    """For the caller, who may be anybody: nothing of what is in the token."""
    match error:
        case jwt.InvalidAudienceError():
            return "The token is not for this app."
        case jwt.MissingRequiredClaimError():
            return f"The token has no `{error.claim}`."
        case jwt.InvalidSignatureError():
            return "The token's signature is wrong."
        case _:
            return "The token cannot be read."
