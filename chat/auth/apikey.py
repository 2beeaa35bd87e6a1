"""Programs, by the keys that their users made for them (docs/api-keys.md)."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from weakref import WeakValueDictionary

from chat.auth.base import Authenticator, Principal
from chat.auth.bearer_token import find_bearer, sole_header
from chat.clock import Clock
from chat.credentials import PREFIX, ApiKey, key_id_of
from chat.errors import ChatError, CredentialEnded, Unauthenticated
from chat.telemetry import record

FRESH = 5.0  # seconds for which what was read of a key is believed: so long may one live on that was revoked elsewhere
ABSENT = 60.0  # seconds for which an id that was not there is not looked for again: none comes to be
KEPT = 10_000  # keys that are remembered, and as many ids that are none
USED = timedelta(minutes=10)  # between two notes that a key was used

WRONG = "This API key is not known, or has ended."


class KeyReader(Protocol):
    """Where keys are kept; the port `KeyStore` has these."""

    async def find_key(self, key_id: str) -> ApiKey | None: ...

    async def note_used(self, key_id: str, when: datetime) -> None: ...


class KeyRing:
    """The keys that came to this process lately. A key costs one read in FRESH seconds; a text that nobody made costs
    none, and an id that is none, or not any more, one in ABSENT seconds."""

    def __init__(self, keys: KeyReader, clock: Clock) -> None:
        self._keys, self._clock = keys, clock
        self._known, self._absent = _Recent[ApiKey](FRESH), _Recent[str](ABSENT)
        self._reading = WeakValueDictionary[
            str, asyncio.Lock
        ]()  # who asks for the same key waits for one read

    async def verify(self, text: str) -> ApiKey:
        """The key that this is. Unauthenticated; StoreUnavailable."""
        key_id = key_id_of(text)
        key = await self._find(key_id) if key_id else None
        if key is None or not key.matches(text) or key.expires_at <= self._clock.now():
            raise Unauthenticated(WRONG)
        await self._note_used(key)
        return key

    async def check(self, key_id: str) -> None:
        """CredentialEnded when a key that was verified has ended since, or was revoked. StoreUnavailable."""
        key = await self._find(key_id)
        if key is None or key.expires_at <= self._clock.now():
            raise CredentialEnded

    def forget(self, key_id: str) -> None:
        """It was revoked: nobody here is let in by it any more."""
        self._absent.put(key_id, key_id, self._clock.monotonic())

    async def _find(self, key_id: str) -> ApiKey | None:
        async with self._reading.setdefault(key_id, asyncio.Lock()):
            began = self._clock.monotonic()
            if self._absent.get(key_id, began) is not None:
                return None
            key = self._known.get(key_id, began) or await self._keys.find_key(key_id)
            if key is None:
                self._absent.put(key_id, key_id, began)
            elif self._known.get(key_id, began) is None:
                self._known.put(key_id, key, began)
            revoked = self._absent.get(key_id, began) is not None  # while it was read
            return None if revoked else key

    async def _note_used(self, key: ApiKey) -> None:
        """About when: a write for every request would cost more than the request."""
        now = self._clock.now()
        if key.used_at is not None and now - key.used_at < USED:
            return
        self._known.change(key.id, replace(key, used_at=now))
        try:
            await self._keys.note_used(key.id, now)
        except ChatError as error:
            record("key_use_not_noted", key_id=key.id, code=error.code)


class ApiKeyAuthenticator(Authenticator):
    """`Authorization: Bearer parley_...`, or `x-api-key`."""

    def __init__(self, ring: KeyRing) -> None:
        self._ring = ring

    async def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        return await self._known(
            sole_header(headers, "x-api-key"), find_bearer(sole_header(headers, "authorization"))
        )

    async def authenticate_socket(
        self, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]
    ) -> Principal | None:
        """`?token=` too, for clients that can send no headers with a handshake; `Authorization` comes to us as
        `x-chat-authorization`."""
        bearer = find_bearer(sole_header(headers, "x-chat-authorization"))
        return await self._known(sole_header(headers, "x-api-key"), bearer, *query.get("token", ()))

    async def _known(self, own: str, *shared: str) -> Principal | None:
        """`own` can hold nothing but a key; what is `shared` with other ways is ours by its beginning."""
        given = {text for text in shared if text.startswith(PREFIX)} | ({own} if own else set())
        if not given:
            return None
        if len(given) > 1:
            raise Unauthenticated("Two different API keys were given.")
        key = await self._ring.verify(given.pop())
        return Principal(key.user_id, expires=key.expires_at, scopes=key.scopes, key_id=key.id)


class _Recent[Value]:
    """The newest KEPT values by name, each for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._kept = OrderedDict[str, tuple[Value, float]]()

    def get(self, name: str, now: float) -> Value | None:
        value, until = self._kept.get(name, (None, now))
        return value if now < until else None

    def put(self, name: str, value: Value, now: float) -> None:
        self._kept.pop(name, None)
        self._kept[name] = value, now + self._seconds
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    def change(self, name: str, value: Value) -> None:
        """Without making it any younger."""
        if name in self._kept:
            self._kept[name] = value, self._kept[name][1]
