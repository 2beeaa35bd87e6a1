"""Tokens of an issuer that is asked over HTTP: whose are believed, and 50 that are not."""

import base64
import hashlib
import hmac
import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from starlette.datastructures import Headers

from chat.auth.base import Principal
from chat.auth.bearer import KEPT, LAST, LEEWAY, BearerAuthenticator
from chat.errors import Unauthenticated
from local.oidc.server import Issuer
from tests.support.issuers import Desk, desk, way

FOREIGN = rsa.generate_private_key(65537, 2048)
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
V1, V2 = f"https://sts.windows.net/{TENANT}/", f"https://login.microsoftonline.com/{TENANT}/v2.0"
OID = "00000000-0000-0000-66f3-3332eca7ea81"


@pytest.fixture
async def at() -> AsyncGenerator[Desk]:
    async with desk() as made:
        yield made


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def public_pem(issuer: Issuer) -> bytes:
    _, key = issuer.keys.newest
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def forged(issuer: Issuer, key: Any = FOREIGN, algorithm: str = "RS256", **header: Any) -> str:
    """Signed by somebody else, with the name of the issuer's key unless the header says another."""
    return jwt.encode(issuer.claims("ann"), key, algorithm, headers={"kid": issuer.keys.newest[0], **header})


def unsigned(issuer: Issuer, algorithm: str) -> str:
    return f"{encoded({'alg': algorithm, 'typ': 'JWT'})}.{encoded(issuer.claims('ann'))}."


def by_shared_secret(issuer: Issuer, secret: bytes) -> str:
    """HS256 by hand: the library refuses to sign by a public key."""
    head = {"alg": "HS256", "typ": "JWT", "kid": issuer.keys.newest[0]}
    signed = f"{encoded(head)}.{encoded(issuer.claims('ann'))}"
    return f"{signed}.{encoded(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def with_claims(**claims: Any) -> Callable[[Issuer], str]:
    """Signed by the issuer. None leaves a claim out."""

    def make(issuer: Issuer) -> str:
        said = issuer.claims("ann") | claims
        return issuer.keys.sign({name: value for name, value in said.items() if value is not None})

    return make


def with_header(**header: Any) -> Callable[[Issuer], str]:
    return lambda issuer: issuer.keys.sign(issuer.claims("ann"), header)


def with_payload(payload: bytes) -> Callable[[Issuer], str]:
    def make(issuer: Issuer) -> str:
        name, key = issuer.keys.newest
        return jwt.PyJWS().encode(payload, key, "RS256", {"kid": name})

    return make


def with_json(**claims: Any) -> Callable[[Issuer], str]:
    """Signed by the issuer, where the library would not make such a token."""
    return lambda issuer: with_payload(json.dumps(issuer.claims("ann") | claims).encode())(issuer)


def changed(issuer: Issuer) -> str:
    head, _, signature = issuer.token("ann").split(".")
    return f"{head}.{encoded(issuer.claims('root', 'admin'))}.{signature}"


def own_jwk() -> dict[str, Any]:
    return json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(FOREIGN.public_key()))


NOW = int(time.time())
HOSTILE: Mapping[str, Callable[[Issuer], str]] = {
    "alg none": lambda issuer: unsigned(issuer, "none"),
    "alg NONE": lambda issuer: unsigned(issuer, "NoNe"),
    "no alg": lambda issuer: f"{encoded({'typ': 'JWT'})}.{encoded(issuer.claims('ann'))}.",
    "alg that is a number": lambda issuer: f"{encoded({'alg': 7})}.{encoded(issuer.claims('ann'))}.eA",
    "alg RS256 without a signature": lambda issuer: unsigned(issuer, "RS256"),
    "HS256 by the public key": lambda issuer: by_shared_secret(issuer, public_pem(issuer)),
    "HS256 by the JWKS": lambda issuer: by_shared_secret(issuer, json.dumps(issuer.keys.shown()).encode()),
    "HS256 by nothing": lambda issuer: by_shared_secret(issuer, b""),
    "another algorithm": lambda issuer: forged(issuer, issuer.keys.newest[1], "RS512"),
    "an algorithm of another kind of key": lambda issuer: forged(
        issuer, ec.generate_private_key(ec.SECP256R1()), "ES256"
    ),
    "a foreign key by the same name": forged,
    "a foreign key by its own name": lambda issuer: forged(issuer, kid="mine"),
    "a foreign key by no name": lambda issuer: jwt.encode(issuer.claims("ann"), FOREIGN, "RS256"),
    "jwk": lambda issuer: forged(issuer, kid="mine", jwk=own_jwk()),
    "jku": lambda issuer: forged(issuer, jku=f"{issuer.url}/jwks?mine"),
    "x5u": lambda issuer: forged(issuer, x5u="http://127.0.0.1:9/cert"),
    "x5c": lambda issuer: forged(issuer, x5c=["MIIB"]),
    "kid as a path": lambda issuer: forged(issuer, kid="../../../../dev/null"),
    "kid as a URL": lambda issuer: forged(issuer, kid=f"{issuer.url}/mine"),
    "kid as SQL": lambda issuer: forged(issuer, kid="x' UNION SELECT 'secret"),
    "kid that is huge": lambda issuer: forged(issuer, kid="k" * 9000),
    "kid that is a list": lambda issuer: (
        f"{encoded({'alg': 'RS256', 'kid': ['key-1']})}.{encoded({'iss': issuer.url})}.eA"
    ),
    "crit": with_header(crit=["exp"], exp=1),
    "crit of nothing": with_header(crit=[]),
    "b64": lambda issuer: f"{encoded({'alg': 'RS256', 'b64': False, 'crit': ['b64']})}..eA",
    "an encrypted one": with_header(enc="A256GCM"),
    "a logout token": with_header(typ="logout+jwt"),
    "typ that is a number": lambda issuer: (
        f"{encoded({'alg': 'RS256', 'typ': 7})}.{encoded({'iss': issuer.url})}.eA"
    ),
    "another audience": with_claims(aud="api://other"),
    "an audience that begins alike": with_claims(aud="api://parley.evil"),
    "a list of other audiences": with_claims(aud=["api://other", "api://third"]),
    "a list with what is no audience": with_claims(aud=["api://parley", 7]),
    "an audience that is an object": with_claims(aud={"api://parley": True}),
    "an empty audience": with_claims(aud=[]),
    "no audience": with_claims(aud=None),
    "another issuer": with_claims(iss="https://evil.example"),
    "an issuer that begins alike": lambda issuer: issuer.token("ann", iss=f"{issuer.url}.evil.example"),
    "an issuer with two slashes": lambda issuer: issuer.token("ann", iss=f"{issuer.url}//"),
    "no issuer": with_claims(iss=None),
    "an issuer that is a list": with_json(iss=["http://127.0.0.1"]),
    "expired": with_claims(exp=NOW - 60),
    "no end": with_claims(exp=None),
    "an end that is text": with_claims(exp="soon"),
    "an end that is text of a number": with_claims(exp=str(NOW + 999)),
    "an end that is true": with_claims(exp=True),
    "an end that is no number": with_json(exp=float("nan")),
    "an end that never comes": with_json(exp=float("inf")),
    "an end beyond all calendars": with_claims(exp=10**15),
    "not good yet": with_claims(nbf=NOW + 3600),
    "a beginning that is text": with_claims(nbf="x"),
    "no sub": with_claims(sub=None),
    "an empty sub": with_claims(sub=""),
    "a sub that is a number": with_claims(sub=7),
    "a sub that is a list": with_claims(sub=["ann"]),
    "a sub with control characters": with_claims(sub="ann\x00root"),
    "a sub with a line end": with_claims(sub="ann\r\nx-user-id: root"),
    "a sub with blanks around it": with_claims(sub=" ann"),
    "a sub that is composed otherwise": with_claims(sub="Zoe\u0308"),
    "a sub that is too long": with_claims(sub="u" * 256),
    "a sub that is a slash in a path": with_claims(sub="a%2Fb"),
    "a sub with half a surrogate pair": with_json(sub="\ud800"),
    "changed": changed,
    "truncated": lambda issuer: issuer.token("ann")[:-20],
    "without its signature": lambda issuer: issuer.token("ann").rpartition(".")[0],
    "its payload alone": lambda issuer: issuer.token("ann").split(".")[1],
    "a signature too many": lambda issuer: issuer.token("ann") + ".eA",
    "within another": lambda issuer: with_payload(issuer.token("ann").encode())(issuer),
    "huge": lambda issuer: issuer.token("ann", more="x" * 20_000),
    "deep": with_payload(b'{"a":' * 3000 + b"1" + b"}" * 3000),
    "a list": with_payload(b"[]"),
    "null": with_payload(b"null"),
    "nothing": lambda _: "",
    "dots": lambda _: "..",
    "not base64": lambda _: "!!!.???.***",
    "not ASCII": lambda _: "é.ü.ß",
    "two tokens": lambda issuer: f"{issuer.token('ann')}, {issuer.token('ann')}",
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_token_that_is_not_good_is_refused(at: Desk, kind: str) -> None:
    token = HOSTILE[kind](at.issuer)
    with pytest.raises(Unauthenticated) as caught:
        await at.ask(token)
    assert not token or token not in caught.value.message


@pytest.mark.parametrize("kind", HOSTILE)
async def test_neither_does_it_open_a_socket(at: Desk, kind: str) -> None:
    with pytest.raises(Unauthenticated):
        await at.ask_socket(HOSTILE[kind](at.issuer))


async def test_no_change_of_a_token_is_overlooked(at: Desk) -> None:
    """One character of the claims or of the signature is another one, or is not there."""
    chance, token = random.Random(7), at.issuer.token("ann")
    begin = token.index(".") + 1
    for _ in range(400):
        place, more = chance.randrange(begin, len(token)), chance.choice(["", *"-_.=AZaz09"])
        made = token[:place] + more + token[place + 1 :]
        if made != token:
            with pytest.raises(Unauthenticated):
                await at.ask(made)


async def test_after_all_of_these_a_good_one_is_believed_and_nobody_was_asked_for_other_keys(
    at: Desk,
) -> None:
    for make in [HOSTILE["jku"], HOSTILE["expired"], HOSTILE["changed"], HOSTILE["another issuer"]]:
        with pytest.raises(Unauthenticated):
            await at.ask(make(at.issuer))
    assert await at.ask(at.issuer.token("ann"))
    assert at.issuer.asked == {"/.well-known/openid-configuration": 1, "/jwks": 1}


@pytest.mark.parametrize("left", [60, -5])
async def test_a_token_names_its_user_with_roles_and_when_it_is_refused(at: Desk, left: int) -> None:
    end = int(time.time()) + left
    principal = await at.ask(at.issuer.token("ann", "admin,reader", exp=end))
    refused = datetime.fromtimestamp(end + LEEWAY, UTC)
    assert principal == Principal("ann", frozenset({"admin", "reader"}), refused)


async def test_a_token_may_end_with_the_last_second_there_is(at: Desk) -> None:
    assert (await at.ask(at.issuer.token("ann", exp=LAST))).expires == datetime(
        9999, 12, 31, 23, 59, 59, tzinfo=UTC
    )


GOOD: Mapping[str, Callable[[Issuer], str]] = {
    "of the least claims": with_claims(roles=None, nbf=None, iat=None),
    "for several audiences": with_claims(aud=["api://other", "api://parley"]),
    "by an issuer with a slash": lambda issuer: issuer.token("ann", iss=f"{issuer.url}/"),
    "of RFC 9068": with_header(typ="at+jwt"),
    "of no type": lambda issuer: with_payload(json.dumps(issuer.claims("ann")).encode())(issuer),
    "that names its key by jku": with_header(jku="http://127.0.0.1:9/jwks"),
    "without the name of its key": lambda issuer: jwt.encode(
        issuer.claims("ann"), issuer.keys.newest[1], "RS256"
    ),
    "of a clock that is 5 s slow": with_claims(exp=NOW + 600, nbf=NOW - 600),
}


@pytest.mark.parametrize("kind", GOOD)
async def test_a_good_token_is_believed(at: Desk, kind: str) -> None:
    assert (principal := await at.ask(GOOD[kind](at.issuer))) and principal.user_id == "ann"


HEADERS = [
    [("authorization", "Basic YW5uOng=")],
    [("authorization", "Bearer")],
    [("authorization", "TOKEN")],
    [("authorization", "Bearer TOKEN"), ("authorization", "Bearer TOKEN")],
    [("authorization", "Bearer x"), ("authorization", "Bearer TOKEN")],
    [("authorization", "Bearer TOKEN,Bearer TOKEN")],
    [("authorization", "Negotiate TOKEN")],
]


@pytest.mark.parametrize("headers", HEADERS)
async def test_a_header_that_is_there_and_wrong_is_refused(at: Desk, headers: list[tuple[str, str]]) -> None:
    token = at.issuer.token("ann")
    raw = [(name.encode(), value.replace("TOKEN", token).encode()) for name, value in headers]
    with pytest.raises(Unauthenticated):
        await at.way.authenticate(Headers(raw=raw))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_the_scheme_may_be_written_in_any_way(at: Desk, scheme: str) -> None:
    assert await at.way.authenticate({"authorization": f"{scheme} {at.issuer.token('ann')}"})


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"cookie": "x"}, {"x-user-id": "ann"}])
async def test_without_a_token_the_next_way_is_asked(at: Desk, headers: dict[str, str]) -> None:
    assert await at.way.authenticate(headers) is None
    assert await at.way.authenticate_socket({}, headers) is None


async def test_a_socket_brings_its_token_in_the_address_or_in_the_header_of_the_gateway(at: Desk) -> None:
    token, other = at.issuer.token("ann"), at.issuer.token("bob")
    header = {"x-chat-authorization": f"Bearer {token}"}
    for query, headers in [({"token": [token]}, {}), ({}, header), ({"token": [token]}, header)]:
        assert (found := await at.way.authenticate_socket(query, headers)) and found.user_id == "ann"
    for query, headers in [
        ({"token": [token, other]}, {}),
        ({"token": [other]}, header),
        ({}, {"x-chat-authorization": f"Basic {token}"}),
        ({"token": [""]}, {}),
    ]:
        with pytest.raises(Unauthenticated):
            await at.way.authenticate_socket(query, headers)
    assert await at.way.authenticate_socket({}, {"authorization": f"Bearer {token}"}) is None


class MovingClock:
    """`ahead` seconds ahead of the machine."""

    ahead = 0.0

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time() + self.ahead, UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


async def test_a_token_that_was_believed_is_refused_once_it_ended() -> None:
    clock = MovingClock()
    async with desk(clock) as at:
        token = at.issuer.token("ann", lifetime=60)
        assert await at.ask(token)
        clock.ahead = 55
        assert await at.ask(token)
        clock.ahead = 75
        with pytest.raises(Unauthenticated, match="expired"):
            await at.ask(token)


async def test_a_token_that_was_believed_is_refused_once_its_key_is_gone() -> None:
    clock = MovingClock()
    async with desk(clock) as at:
        token = at.issuer.token("ann")
        assert await at.ask(token)
        at.issuer.keys.rotate(drop=True)
        clock.ahead = 10
        assert await at.ask(at.issuer.token("bob"))  # has the keys asked for again
        clock.ahead = 20
        with pytest.raises(Unauthenticated):
            await at.ask(token)


async def test_a_token_that_is_used_again_is_not_checked_again_and_few_are_remembered() -> None:
    async with desk() as at:
        assert isinstance(at.way, BearerAuthenticator)
        token = at.issuer.token("ann")
        first = await at.ask(token)
        assert await at.ask(token) is first
        for number in range(KEPT):
            await at.ask(unused := at.issuer.token("ann", number=number))
        assert await at.ask(token) is not first
        assert await at.ask(unused) is await at.ask(unused)


# Which claims say who somebody is, and what they may


async def test_entra_s_two_tokens_of_a_tenant_name_the_same_person() -> None:
    async with desk() as at:
        keys = {"CHAT_JWT_JWKS_URL": f"{at.issuer.url}/jwks", "CHAT_JWT_AUDIENCE": "api://parley,client-id"}
        for named in (V1, V2):
            async with way(CHAT_AUTH="jwt", CHAT_JWT_ISSUER=named, **keys) as made:
                tokens = [
                    at.issuer.token("pairwise-1", iss=V1, oid=OID, ver="1.0"),
                    at.issuer.token("pairwise-2", iss=V2, oid=OID, ver="2.0", aud="client-id"),
                ]
                found = [await made.authenticate({"authorization": f"Bearer {each}"}) for each in tokens]
                assert [each and each.user_id for each in found] == [OID, OID]
                for more in ({"iss": V2}, {"iss": V2.replace("72f9", "72f8"), "oid": OID}):
                    with pytest.raises(Unauthenticated):
                        await made.authenticate(
                            {"authorization": f"Bearer {at.issuer.token('pairwise', **more)}"}
                        )


@pytest.mark.parametrize(
    ("settings", "claims", "user", "roles"),
    [
        ({}, {"roles": "admin"}, "ann", {"admin"}),
        ({}, {"roles": ["reader", 7, None]}, "ann", {"reader"}),
        ({}, {"roles": {"admin": True}}, "ann", set[str]()),
        (
            {"CHAT_ADMIN_ROLES": "Chat.Admin"},
            {"roles": ["admin", "Chat.Admin"]},
            "ann",
            {"admin", "Chat.Admin"},
        ),
        ({"CHAT_ADMIN_ROLES": "Chat.Admin"}, {"roles": ["admin", "x"]}, "ann", {"x"}),
        (
            {"CHAT_JWT_ROLES_CLAIM": "realm_access.roles, https://x.example/roles"},
            {"realm_access": {"roles": ["a"]}, "https://x.example/roles": ["b"], "roles": ["admin"]},
            "ann",
            {"a", "b"},
        ),
        ({"CHAT_JWT_ROLES_CLAIM": "a.b.c"}, {"a": {"b": "x"}}, "ann", set[str]()),
        ({"CHAT_JWT_USER_CLAIM": "employee_id"}, {"employee_id": "E7", "roles": []}, "E7", set[str]()),
    ],
)
async def test_user_and_roles_come_from_the_claims_that_the_settings_name(
    settings: dict[str, str], claims: dict[str, Any], user: str, roles: set[str]
) -> None:
    async with desk(**settings) as at:
        found = await at.ask(with_claims(**claims)(at.issuer))
        assert found and (found.user_id, found.roles) == (user, roles)


async def test_users_of_a_further_issuer_are_nobody_of_the_first() -> None:
    async with desk() as home, desk() as other:
        both = f"{home.issuer.url},{other.issuer.url}"
        async with way(CHAT_AUTH="jwt", CHAT_JWT_ISSUER=both, CHAT_JWT_AUDIENCE="api://parley") as made:

            async def user(token: str) -> str:
                found = await made.authenticate({"authorization": f"Bearer {token}"})
                assert found
                return found.user_id

            assert await user(home.issuer.token("ann")) == "ann"
            stranger = await user(other.issuer.token("ann"))
            assert stranger.endswith(":ann") and stranger == await user(other.issuer.token("ann"))
            for token in (home.issuer.token(stranger), other.issuer.token("u" * 250)):
                with pytest.raises(Unauthenticated):
                    await user(token)
            crossed = home.issuer.token("ann", iss=other.issuer.url)
            with pytest.raises(Unauthenticated):
                await user(crossed)
