"""Who we are to the table service, as request headers, without the SDK's pipeline around it.

Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key (Table service, 2019-02-02).
"""

import base64
import hmac
import time
from collections.abc import Mapping
from email.utils import formatdate
from hashlib import sha256
from typing import Any, Protocol

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

TOKEN_SCOPE = "https://storage.azure.com/.default"
TOKEN_MARGIN = 300.0  # seconds before its end at which a token is no longer used


class Signer(Protocol):
    """Makes the headers that say who asks."""

    async def headers(self, verb: str, path: str, content_type: str) -> Mapping[str, str]:
        """For a request with that path (as it is sent, percent-encoded) and content type."""
        ...


class KeySigner:
    """With the account's key."""

    def __init__(self, account: str, key: str) -> None:
        self._account = account
        self._key = base64.b64decode(key)

    async def headers(self, verb: str, path: str, content_type: str) -> Mapping[str, str]:
        date = formatdate(usegmt=True)
        text = f"{verb}\n\n{content_type}\n{date}\n/{self._account}{path}"
        signature = base64.b64encode(hmac.digest(self._key, text.encode(), sha256)).decode()
        return {"x-ms-date": date, "Authorization": f"SharedKey {self._account}:{signature}"}


class TokenSigner:
    """With a token of an identity, which is asked for anew before it ends."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential
        self._token = ""
        self._until = 0.0

    async def headers(self, verb: str, path: str, content_type: str) -> Mapping[str, str]:
        if time.time() > self._until:
            token = await self._credential.get_token(TOKEN_SCOPE)
            self._token, self._until = token.token, token.expires_on - TOKEN_MARGIN
        return {"x-ms-date": formatdate(usegmt=True), "Authorization": f"Bearer {self._token}"}


def signer_for(credential: object) -> Signer | None:
    """The signer for the SDK's credential; None for a signature that stands in the URL, which is left to the SDK."""
    if isinstance(credential, AzureNamedKeyCredential):
        account, key = credential.named_key
        return KeySigner(account, key)
    if credential is None or isinstance(credential, AzureSasCredential):
        return None
    return TokenSigner(credential)
