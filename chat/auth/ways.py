"""The ways that CHAT_AUTH names, each made here, in order."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from chat.auth.apikey import ApiKeyAuthenticator, KeyRing
from chat.auth.base import Authenticator, Principal
from chat.auth.dev import DevAuthenticator
from chat.auth.easyauth import EasyAuthAuthenticator
from chat.auth.header import HeaderAuthenticator
from chat.auth.identity import Identity, read_identity
from chat.clock import Clock
from chat.credentials import PREFIX
from chat.errors import Unauthenticated
from chat.settings import Settings, on_laptop
from chat.telemetry import record_warning


@dataclass(frozen=True, slots=True)
class Parts:
    """What ways are made of. `closing` closes what has to be closed."""

    settings: Settings
    identity: Identity
    clock: Clock
    closing: AsyncExitStack
    keys: KeyRing


def build_authenticators(
    settings: Settings, clock: Clock, closing: AsyncExitStack, keys: KeyRing
) -> tuple[Authenticator, ...]:
    """The ways of CHAT_AUTH. `dev` believes everyone, so it comes last, and only where this is certainly a laptop."""
    parts = Parts(settings, read_identity(settings), clock, closing, keys)
    made = [MAKERS[name](parts) for name in sorted(settings.auth, key=lambda name: name == "dev")]
    ways = tuple(way for way in made if way)
    if not ways:
        record_warning(
            "nobody_can_sign_in", reason="CHAT_AUTH is dev, which is for laptops: every request is a 401"
        )
    return ways


async def find_principal(
    ways: Iterable[Authenticator], ask: Callable[[Authenticator], Awaitable[Principal | None]]
) -> Principal:
    """Whom the first of the ways knows that knows somebody. Whatever credentials are there have to be good, and the
    same person's: Unauthenticated; SignInUnavailable."""
    found: Principal | None = None
    for way in ways:
        if found is not None and way.presumes:
            continue
        principal = await ask(way)
        if found is not None and principal is not None and principal.user_id != found.user_id:
            raise Unauthenticated("The credentials are those of two different people.")
        found = found or principal
    if found is None:
        raise Unauthenticated
    return found


def _dev(_parts: Parts) -> Authenticator | None:
    return DevAuthenticator() if on_laptop() else None


def _header(parts: Parts) -> Authenticator:
    return HeaderAuthenticator(parts.identity)


def _easyauth(parts: Parts) -> Authenticator:
    settings = parts.settings
    return EasyAuthAuthenticator(parts.identity, settings.easyauth_issuers or settings.jwt_issuers)


def _jwt(parts: Parts) -> Authenticator:
    from chat.auth.bearer import BearerAuthenticator  # libraries that others need not load
    from chat.auth.discovery import Discovery
    from chat.auth.signing_keys import SigningKeys

    settings = parts.settings
    keys = {
        issuer: SigningKeys(issuer, Discovery(issuer, settings.jwt_keys_url).fetch, parts.clock.monotonic)
        for issuer in settings.jwt_issuers
    }
    way = BearerAuthenticator(
        parts.identity,
        keys,
        audiences=settings.jwt_audiences,
        algorithms=settings.jwt_algorithms,
        clock=parts.clock,
        others=(PREFIX,) if "apikey" in settings.auth else (),
    )
    parts.closing.push_async_callback(way.aclose)
    return way


def _apikey(parts: Parts) -> Authenticator:
    return ApiKeyAuthenticator(parts.keys)


MAKERS: Mapping[str, Callable[[Parts], Authenticator | None]] = {
    "easyauth": _easyauth,
    "jwt": _jwt,
    "apikey": _apikey,
    "header": _header,
    "dev": _dev,
}
