"""What a socket is given when it connects, and brings with each of its events: whose it is, signed by us.

The state travels through the service, and where an identity is used its events are not signed. So whoever may call the
route of the events could speak as anybody, were it not for this signature.
"""

import hashlib
import hmac
from collections.abc import Mapping

import orjson

from chat.clock import from_iso, iso
from chat.credentials import Credential, scopes_of, scopes_text

SIGNATURE = "signature"
SIGNED = ("session", "user", "dialect", "turn", "seq", "ends", "scopes", "key")


def limits_of(credential: Credential) -> dict[str, str]:
    """What the socket may by what it was opened with, and until when: a part of its states."""
    ends = iso(credential.expires) if credential.expires else ""
    return {"ends": ends, "scopes": scopes_text(credential.scopes), "key": credential.key_id}


def credential_of(states: Mapping[str, str]) -> Credential:
    """The reverse, of states that are signed."""
    ends = states.get("ends", "")
    scopes = scopes_of(states.get("scopes", ""))
    return Credential(from_iso(ends) if ends else None, scopes, states.get("key", ""))


def is_promised(states: Mapping[str, str]) -> bool:
    """Whether its session was not there when it connected: no number stands for what was said until then."""
    return states.get("seq") == ""


def sign(states: Mapping[str, str], connection_id: str, key: bytes) -> dict[str, str]:
    """The states with their signature."""
    return {**states, SIGNATURE: _signature(states, connection_id, key)}


def is_signed(states: Mapping[str, str], connection_id: str, key: bytes) -> bool:
    """Whether it is ours, and given to this connection."""
    given, right = states.get(SIGNATURE, ""), _signature(states, connection_id, key)
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode())


def _signature(states: Mapping[str, str], connection_id: str, key: bytes) -> str:
    signed = [connection_id, *(states.get(name, "") for name in SIGNED)]
    return hmac.digest(key, orjson.dumps(signed), hashlib.sha256).hex()
