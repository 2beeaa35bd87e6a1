"""The keys of the issuer: one signs, all that are shown can be checked by."""

import itertools
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

ALGORITHM = "RS256"


class KeyRing:
    """The newest key signs."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._keys: dict[str, RSAPrivateKey] = {}
        self.rotate()

    @property
    def newest(self) -> tuple[str, RSAPrivateKey]:
        """The name of the key that signs, and the key."""
        return list(self._keys.items())[-1]

    def rotate(self, *, drop: bool = False) -> str:
        """Sign with a new key from now on. Those before it are still shown, unless they are dropped. Its name."""
        if drop:
            self._keys.clear()
        name = f"key-{next(self._numbers)}"
        self._keys[name] = generate_private_key(65537, 2048)
        return name

    def sign(self, claims: Mapping[str, Any], headers: Mapping[str, Any] | None = None) -> str:
        """A token."""
        name, key = self.newest
        return jwt.encode(dict(claims), key, ALGORITHM, headers={"kid": name, **(headers or {})})

    def shown(self) -> dict[str, Any]:
        """All of them as a JWK Set."""
        algorithm = jwt.get_algorithm_by_name(ALGORITHM)
        keys = {name: json.loads(algorithm.to_jwk(key.public_key())) for name, key in self._keys.items()}
        return {
            "keys": [
                {**key, "kid": name, "use": "sig", "alg": ALGORITHM, "key_ops": ["verify"]}
                for name, key in keys.items()
            ]
        }
