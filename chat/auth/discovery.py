"""Asks an issuer for its keys over HTTP (OpenID Connect Discovery 1.0, section 4; RFC 7517, section 5). What it says is
bounded in time and size, and is followed nowhere but to the address of its keys."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast
from urllib.request import getproxies

import aiohttp
import orjson

from chat.auth.signing_keys import SigningKey
from chat.errors import SignInUnavailable
from chat.settings.issuers import canonical, check_url

TIMEOUT = 5.0  # seconds for all of it
MAX_BYTES = 512 * 1024  # of one document
MAX_KEYS = 100
MAX_KEY_ID = 255
MIN_RSA_BITS = 2048
WELL_KNOWN = "/.well-known/openid-configuration"
NUMBERS: Mapping[str, tuple[str, ...]] = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
"""What a public key of each type consists of. Whatever else a JWK holds is left out: an issuer that shows its private
key gives no more away here. Shared secrets (`oct`) are no keys for this."""


class Discovery:
    """The keys of one issuer, which its own document says where to find, unless `keys_url` does."""

    def __init__(self, issuer: str, keys_url: str = "", *, timeout: float = TIMEOUT) -> None:
        self._issuer, self._keys_url, self._timeout = issuer, keys_url, timeout

    async def fetch(self) -> tuple[SigningKey, ...]:
        """SignInUnavailable, with the reason for the log."""
        try:
            async with asyncio.timeout(self._timeout), _open_session() as session:
                url = self._keys_url or await self._discover(session)
                return read_keys(await _get(session, url))
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            raise SignInUnavailable(reason=f"{type(error).__name__}: {error}"[:200]) from None

    async def _discover(self, session: aiohttp.ClientSession) -> str:
        told = await _get(session, self._issuer + WELL_KNOWN)
        issuer, url = told.get("issuer"), told.get("jwks_uri")
        if not isinstance(issuer, str) or canonical(issuer) != self._issuer:
            raise ValueError("its document is another issuer's")
        if not isinstance(url, str):
            raise ValueError("its document names no jwks_uri")
        return check_url(url)


def read_keys(told: Mapping[str, Any]) -> tuple[SigningKey, ...]:
    """The keys of a JWK Set that can check signatures; others are passed over. ValueError when there is none: that is
    no change of keys but a broken issuer."""
    listed = told.get("keys")
    keys = (
        [_read_key(each) for each in cast("list[Any]", listed)[:MAX_KEYS]] if isinstance(listed, list) else []
    )
    if not (found := tuple(key for key in keys if key)):
        raise ValueError("it shows no key for signatures")
    return found


def _read_key(told: Any) -> SigningKey | None:
    """None for what is no public key for signatures."""
    jwk = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    kind, key_id = jwk.get("kty"), jwk.get("kid", "")
    names = NUMBERS.get(kind, ()) if isinstance(kind, str) else ()
    numbers = tuple((name, jwk[name]) for name in names if isinstance(jwk.get(name), str))
    if not names or len(numbers) < len(names):
        return None
    if jwk.get("use", "sig") != "sig" or not isinstance(key_id, str) or len(key_id) > MAX_KEY_ID:
        return None
    if kind == "RSA" and len(jwk["n"]) * 6 < MIN_RSA_BITS:
        return None
    said = jwk.get("alg", "")
    algorithm = said if isinstance(said, str) else "?"
    return SigningKey(key_id, (str(kind), jwk.get("crv", "") if "crv" in names else ""), algorithm, numbers)


async def _get(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """A JSON object. aiohttp.ClientError, ValueError."""
    async with session.get(url, allow_redirects=False, headers={"accept": "application/json"}) as reply:
        if reply.status != 200:
            raise ValueError(f"status {reply.status}")
        body = bytearray()
        async for piece in reply.content.iter_any():
            body += piece
            if len(body) > MAX_BYTES:
                raise ValueError("a document too large")
    told = orjson.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no JSON object")
    return cast("dict[str, Any]", told)


def _open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=bool(getproxies()))
