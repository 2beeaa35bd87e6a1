"""Headers that say who asks. That the service accepts the key's is shown by every test on Azurite."""

import time
from dataclasses import dataclass

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential

from chat.store.tables.table_signing import TOKEN_MARGIN, KeySigner, TokenSigner, signer_for


@dataclass
class Token:
    token: str
    expires_on: float


class Identity:
    """Gives tokens that live so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.scopes: list[str] = []

    async def get_token(self, scope: str) -> Token:
        self.scopes.append(scope)
        return Token(f"t{len(self.scopes)}", time.time() + self.seconds)


async def test_a_key_signs_verb_path_kind_and_date() -> None:
    signer = KeySigner("account", "a2V5")
    one = await signer.headers("POST", "/t", "application/json")
    other = await signer.headers("POST", "/u", "application/json")
    assert one["Authorization"].startswith("SharedKey account:")
    assert one["Authorization"] != other["Authorization"]
    assert one["x-ms-date"].endswith(" GMT")


async def test_a_token_is_used_until_shortly_before_its_end() -> None:
    identity = Identity(TOKEN_MARGIN + 60)
    signer = TokenSigner(identity)
    told = [(await signer.headers("GET", "/", ""))["Authorization"] for _ in range(3)]
    assert told == ["Bearer t1"] * 3
    assert identity.scopes == ["https://storage.azure.com/.default"]


async def test_a_token_that_ends_soon_is_asked_for_anew() -> None:
    signer = TokenSigner(Identity(TOKEN_MARGIN - 1))
    told = [(await signer.headers("GET", "/", ""))["Authorization"] for _ in range(2)]
    assert told == ["Bearer t1", "Bearer t2"]


def test_each_kind_of_credential_has_its_signer() -> None:
    assert isinstance(signer_for(AzureNamedKeyCredential("account", "a2V5")), KeySigner)
    assert isinstance(signer_for(Identity(1)), TokenSigner)
    assert signer_for(AzureSasCredential("sig=1")) is None
    assert signer_for(None) is None
