"""Access tokens (JWT, HS256 with the access key): those of clients, of server SDKs, and for recovery."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import jwt

ALGORITHM = "HS256"
RECOVERABLE = 7 * 24 * 3600  # seconds
OWN_CLAIMS = ("aud", "exp", "iat", "nbf", "sub", "role", "webpubsub.group")


class BadToken(Exception):
    """The token is missing, expired, forged, or for something else."""


@dataclass(frozen=True, slots=True)
class ClientToken:
    """Who connects, and what the token allows."""

    user_id: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    claims: Mapping[str, list[str]]  # all others, for the `connect` event


def read_client_token(token: str, key: str, hub: str, host: str) -> ClientToken:
    """The token of a client that connects to a hub at that host (with port). BadToken."""
    path = f"{host}/client/hubs/{hub}"
    claims = _decoded(token, key, (f"http://{path}", f"https://{path}"))
    return ClientToken(
        user_id=str(claims.get("sub") or ""),
        roles=_texts(claims.get("role")),
        groups=_texts(claims.get("webpubsub.group")),
        claims={name: list(_texts(value)) for name, value in claims.items() if name not in OWN_CLAIMS},
    )


def check_rest_token(token: str, key: str, url: str) -> None:
    """Server SDKs sign the URL as they send it, with or without its query. BadToken."""
    bare = url.partition("?")[0]
    ways = {url, bare, unquote(url), unquote(bare)}
    _decoded(
        token, key, {scheme + each.partition("://")[2] for each in ways for scheme in ("http://", "https://")}
    )


def make_client_token(
    key: str, audience: str, *, user_id: str, roles: Iterable[str], groups: Iterable[str], minutes: int
) -> str:
    """What `:generateToken` gives."""
    now = int(time.time())
    claims: dict[str, Any] = {"aud": audience, "iat": now, "exp": now + minutes * 60}
    claims |= {"sub": user_id} if user_id else {}
    claims |= {"role": list(roles)} if roles else {}
    claims |= {"webpubsub.group": list(groups)} if groups else {}
    return jwt.encode(claims, key, ALGORITHM)


def make_reconnection_token(key: str, connection_id: str) -> str:
    """Good for one connection only."""
    return jwt.encode({"aud": connection_id, "exp": int(time.time()) + RECOVERABLE}, key, ALGORITHM)


def check_reconnection_token(token: str, key: str, connection_id: str) -> None:
    """BadToken."""
    _decoded(token, key, (connection_id,))


def _decoded(token: str, key: str, audiences: Iterable[str]) -> dict[str, Any]:
    """The claims of a token that is ours, in time, and for one of these audiences, whatever their case."""
    try:
        claims = jwt.decode(token, key, [ALGORITHM], options={"verify_aud": False, "require": ["exp"]})
    except jwt.InvalidTokenError as error:
        raise BadToken(str(error)) from None
    except ValueError as error:  # bytes that no token has
        raise BadToken(str(error)) from None
    known = {each.lower() for each in audiences}
    given = {each.lower() for each in _texts(claims.get("aud"))}
    if not given & known and not {unquote(each) for each in given} & known:
        raise BadToken("the token is for something else")
    return claims


def _texts(value: object) -> tuple[str, ...]:
    """A claim may be one text or a list."""
    if value is None:
        return ()
    values: list[object] = value if isinstance(value, list) else [value]  # type: ignore[assignment]
    return tuple(str(each) for each in values)
