"""Credentials as values: what one is limited to, and API keys, from their text to what is kept of them.

A key is `parley_{id}_{secret}`: 256 random bits, made here and shown once. What is kept is its SHA-256. A slow hash
protects what people choose, since that can be guessed; 256 random bits cannot, and each request would pay for it.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from chat.clock import ALPHABET

type Scope = Literal["read", "write", "manage"]
"""What a credential may be limited to: `read`; `write` (ask, stop, store messages); `manage` (sessions' members,
ownership, keys)."""

SCOPES: tuple[Scope, ...] = ("read", "write", "manage")

PREFIX = "parley_"  # by which scanners for secrets, and we, know a key
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
OWNER, OWN = 16, 10  # characters of an id: of its user's hash (80 bits), and of its own (50 bits)
SECRET, CHECK = 43, 6  # characters in base 62: 256 bits, and the CRC-32 of what stands before it
KEY_ID = re.compile(f"[{ALPHABET}]{{{OWNER + OWN}}}")
KEY = re.compile(f"{PREFIX}({KEY_ID.pattern})_[{BASE62}]{{{SECRET}}}([{BASE62}]{{{CHECK}}})")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a caller came with, as far as it limits what they opened with it."""

    expires: datetime | None = None  # None when nothing says so
    scopes: frozenset[Scope] | None = None  # None is everything its user may
    key_id: str = ""  # of an API key

    def may(self, scope: Scope) -> bool:
        return self.scopes is None or scope in self.scopes

    def has_ended(self, now: datetime) -> bool:
        return self.expires is not None and self.expires <= now


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key."""

    id: str
    user_id: str
    name: str
    scopes: frozenset[Scope]
    digest: bytes = field(repr=False)  # of the whole text
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None  # about when it was used last; None when it never was

    def matches(self, text: str) -> bool:
        """Whether this is the key."""
        return hmac.compare_digest(self.digest, digest_of(text))


def scopes_text(scopes: frozenset[Scope] | None) -> str:
    """As it is kept with what was opened."""
    return "*" if scopes is None else ",".join(scope for scope in SCOPES if scope in scopes)


def scopes_of(text: str) -> frozenset[Scope] | None:
    """The reverse of `scopes_text`; of any other text nothing is allowed."""
    given = text.split(",")
    return None if text == "*" else frozenset(scope for scope in SCOPES if scope in given)


def make_key(user_id: str, promised: str = "") -> tuple[str, str]:
    """The id and the text of a new key. The end of a promised ULID, which is random, makes its id."""
    own = promised[-OWN:] or "".join(secrets.choice(ALPHABET) for _ in range(OWN))
    key_id = owner_part(user_id) + own
    body = f"{PREFIX}{key_id}_{_base62(secrets.randbits(256), SECRET)}"
    return key_id, body + _check(body)


def owner_part(user_id: str) -> str:
    """What the ids of a user's keys begin with. It says nothing about the user to who does not guess them."""
    number = int.from_bytes(hashlib.sha256(user_id.encode()).digest()[: OWNER * 5 // 8])
    return "".join(ALPHABET[(number >> shift) & 31] for shift in range(OWNER * 5 - 5, -5, -5))


def key_id_of(text: str) -> str:
    """The id in the text of a key; "" for a text that is none."""
    found = KEY.fullmatch(text)
    return found[1] if found and found[2] == _check(text[:-CHECK]) else ""


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _check(text: str) -> str:
    """So that what was cut off, mistyped or made up costs no read, and a scanner can tell without asking us."""
    return _base62(zlib.crc32(text.encode()), CHECK)


def _base62(number: int, width: int) -> str:
    digits = ""
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits = BASE62[digit] + digits
    return digits
