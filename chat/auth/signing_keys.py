"""The keys by which an issuer's tokens are checked: asked for over HTTP, kept, and asked for again.

- Keys that are known are never waited for. They are asked for again beside the requests once they are older than
  `OLD`, and go on for `KEPT` while the issuer is away.
- A token that names a key which is not known has them asked for again, since issuers change keys; but not before
  `PAUSE` has gone by, one fetch at a time, however many ask. That there is no such key is said only by an answer that
  was asked for after the token came.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from chat.errors import SignInUnavailable
from chat.telemetry import Seldom, record, record_warning

OLD = 300.0  # seconds after which keys are asked for again
KEPT = 24 * 3600.0  # seconds for which they are good without an answer
PAUSE = 5.0  # seconds between the beginnings of two fetches
MAX_WAITING = (
    2000  # callers that wait for one: about what a process takes in PAUSE; who more are cannot be told
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key. Equal when its issuer says the same of it."""

    id: str  # "" when the issuer gives it none
    kind: tuple[str, str]  # key type and curve
    algorithm: str  # which it is for; "" when the issuer does not say
    numbers: tuple[tuple[str, str], ...]  # what it consists of, as in its JWK

    @property
    def jwk(self) -> dict[str, Any]:
        return {"kty": self.kind[0], **dict(self.numbers)}


type Fetch = Callable[[], Awaitable[tuple[SigningKey, ...]]]


class SigningKeys:
    """Of one issuer. `fetch` raises SignInUnavailable, and ends in bounded time."""

    def __init__(
        self, issuer: str, fetch: Fetch, monotonic: Callable[[], float], *, kept: float = KEPT
    ) -> None:
        self._issuer, self._fetch, self._monotonic, self._kept = issuer, fetch, monotonic, kept
        self._keys: tuple[SigningKey, ...] = ()
        self._answered = self._begun = float("-inf")
        self._failed = False
        self._coming: asyncio.Task[None] | None = None  # which has not begun to ask yet
        self._asking: asyncio.Task[None] | None = None
        self._waiting = 0
        self._seldom = Seldom(monotonic)

    async def find(self, key_id: str, algorithm: str, kind: tuple[str, str]) -> SigningKey | None:
        """The key of that name (or without one the only key there is) that fits the algorithm; None when the issuer has
        none. SignInUnavailable when nobody can tell."""
        found = self._known(key_id, algorithm, kind)
        if found is None and self._asking and not self._asking.done():
            await self._wait_for(self._asking)
            found = self._known(key_id, algorithm, kind)
        if found is None:
            await self._ask_again()
            found = self._known(key_id, algorithm, kind)
        elif self._monotonic() - self._answered > OLD and not self._pausing():
            self._next()
        return found

    def holds(self, key: SigningKey) -> bool:
        """Whether it is still one of the issuer's."""
        return key in self._good()

    async def aclose(self) -> None:
        """Stop asking."""
        tasks = [task for task in (self._coming, self._asking) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _good(self) -> tuple[SigningKey, ...]:
        return self._keys if self._monotonic() - self._answered < self._kept else ()

    def _known(self, key_id: str, algorithm: str, kind: tuple[str, str]) -> SigningKey | None:
        fit = [key for key in self._good() if key.kind == kind and key.algorithm in ("", algorithm)]
        if not key_id:
            return fit[0] if len(fit) == 1 else None
        return next((key for key in fit if key.id == key_id), None)

    def _pausing(self) -> bool:
        return self._monotonic() < self._begun + PAUSE

    async def _ask_again(self) -> None:
        """Wait for a fetch that begins from now on. SignInUnavailable."""
        if self._failed and self._pausing():
            raise SignInUnavailable
        await self._wait_for(self._next())

    async def _wait_for(self, task: asyncio.Task[None]) -> None:
        if self._waiting >= MAX_WAITING:
            raise SignInUnavailable
        self._waiting += 1
        try:
            await asyncio.shield(task)
        finally:
            self._waiting -= 1
        if self._failed:
            raise SignInUnavailable

    def _next(self) -> asyncio.Task[None]:
        if self._coming is None:
            self._coming = asyncio.create_task(self._run(self._asking))
        return self._coming

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        if before:
            await asyncio.wait({before})
        await asyncio.sleep(max(0.0, self._begun + PAUSE - self._monotonic()))
        self._asking, self._coming = self._coming, None
        self._begun = self._monotonic()
        try:
            self._take(await self._fetch())
        except SignInUnavailable as error:
            self._failed = True
            if (unsaid := self._seldom.due("fetch")) is not None:
                record_warning("issuer_away", issuer=self._issuer, reason=error.reason, unsaid=unsaid)

    def _take(self, keys: tuple[SigningKey, ...]) -> None:
        if set(keys) != set(self._keys):
            record("signing_keys", issuer=self._issuer, keys=[key.id for key in keys])
        self._keys, self._answered, self._failed = keys, self._monotonic(), False
