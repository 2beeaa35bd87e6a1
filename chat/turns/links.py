"""Links to turns: whoever has one may read that turn, in one dialect, until it ends. Nothing is stored of a link; it is
signed with a secret that all instances share."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

from chat.clock import Clock
from chat.errors import CredentialEnded, Unauthenticated
from chat.store.errand_store import ErrandStore

ENDS = 10  # digits of the time at which a link ends, in seconds since 1970
WRONG = "This link is none of ours."


class TurnLinks:
    """Makes and knows the keys of links."""

    def __init__(self, errands: ErrandStore, clock: Clock) -> None:
        self._errands, self._clock = errands, clock
        self._secret = b""

    async def key(self, turn_id: str, dialect: str, *, ends: datetime) -> str:
        """By which the turn may be read until then. StoreUnavailable."""
        text = f"{int(ends.timestamp()):0{ENDS}d}"
        return text + await self._signature(turn_id, dialect, text)

    async def check(self, key: str, turn_id: str, dialect: str) -> datetime:
        """When it ends. Unauthenticated for a key that is not for this turn and dialect, whether there is such a turn
        or not; CredentialEnded; StoreUnavailable."""
        text, given = key[:ENDS], key[ENDS:]
        right = await self._signature(turn_id, dialect, text)
        if not hmac.compare_digest(given.encode("utf-8", "replace"), right.encode()):
            raise Unauthenticated(WRONG)
        ends = datetime.fromtimestamp(int(text), UTC)
        if self._clock.now() >= ends:
            raise CredentialEnded
        return ends

    async def _signature(self, turn_id: str, dialect: str, ends: str) -> str:
        if not self._secret:
            secret = await self._errands.secret("turn-links")
            self._secret = hmac.digest(secret.encode(), b"parley: links to turns, 1", hashlib.sha256)
        signed = "\n".join((turn_id, dialect, ends)).encode("utf-8", "replace")
        return (
            base64.urlsafe_b64encode(hmac.digest(self._secret, signed, hashlib.sha256)).decode().rstrip("=")
        )
