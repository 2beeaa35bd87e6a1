"""The list of ways: their order, that one which was lied to is not made up for by another, and their settings."""

from collections.abc import Mapping

import pytest

from chat.auth.base import Principal
from chat.auth.identity import mark_of
from chat.errors import Unauthenticated, ValidationError
from chat.settings import SettingsError, read_setting
from chat.settings.issuers import canonical
from local.oidc.server import serve
from tests.support.apps import make_app
from tests.support.easy_auth import AAD, ISSUER, OID, ON, TENANT, signed_in, told
from tests.support.issuers import desk, way, ways
from tests.support.provider_settings import settings_for

FUNCTION = {"CHAT_AUTH": "header", "CHAT_HTTP_AUTH_LEVEL": "FUNCTION"}
JWT = {"CHAT_AUTH": "jwt", "CHAT_JWT_ISSUER": ISSUER, "CHAT_JWT_AUDIENCE": "api://parley"}


async def test_ways_are_asked_in_order_and_none_makes_up_for_one_that_was_lied_to() -> None:
    async with serve() as issuer:
        app = make_app(
            settings={
                "CHAT_AUTH": "jwt,header,dev",
                "CHAT_HTTP_AUTH_LEVEL": "FUNCTION",
                "CHAT_JWT_ISSUER": issuer.url,
                "CHAT_JWT_AUDIENCE": issuer.audience,
            }
        ).app
        bearer = {"authorization": f"Bearer {issuer.token('ann')}"}
        others = {"x-user-id": "bob", "x-dev-user": "eve"}
        assert [each.name for each in app.authenticators] == ["jwt", "header", "dev"]
        same = {"x-user-id": "ann", "x-dev-user": "eve"}
        assert (await app.authenticate(bearer | same)).user_id == "ann"
        assert (await app.authenticate(others)).user_id == "bob"
        assert (await app.authenticate({"x-dev-user": "eve"})).user_id == "eve"
        for wrong in ("Bearer x", "Basic eDp4", f"Bearer {issuer.token('ann', lifetime=-60)}"):
            with pytest.raises(Unauthenticated):
                await app.authenticate({"authorization": wrong, **others})
        for wrong in ({"x-user-id": "a\x00b", "x-dev-user": "eve"}, bearer | {"x-user-id": "a\x00b"}):
            with pytest.raises(Unauthenticated):
                await app.authenticate(wrong)
        with pytest.raises(Unauthenticated, match="two different people"):
            await app.authenticate(bearer | others)
        await app.close()


async def test_the_same_person_by_easy_auth_and_by_token_is_one_user() -> None:
    async with desk() as at:
        keys = {"CHAT_JWT_JWKS_URL": f"{at.issuer.url}/jwks"}
        both = ON | JWT | keys | {"CHAT_AUTH": "easyauth,jwt"}
        async with ways(**both) as [by_cookie, by_token]:
            token = at.issuer.token("pairwise", iss=ISSUER, oid=OID)
            found = [
                await by_cookie.authenticate(signed_in(told(*AAD))),
                await by_token.authenticate({"authorization": f"Bearer {token}"}),
            ]
            assert [each and each.user_id for each in found] == [OID, OID]


@pytest.mark.parametrize(
    ("headers", "principal"),
    [
        ({}, None),
        ({"x-user-id": ""}, None),
        ({"x-user-roles": "admin"}, None),
        ({"x-dev-user": "ann"}, None),
        ({"x-user-id": "ann"}, Principal("ann")),
        ({"x-user-id": "UTF-8''Zo%C3%AB"}, Principal("Zoë")),
        (
            {"x-user-id": "ann", "x-user-roles": "admin, reader,"},
            Principal("ann", frozenset({"admin", "reader"})),
        ),
    ],
)
async def test_a_server_with_the_key_names_its_users(
    headers: Mapping[str, str], principal: Principal | None
) -> None:
    async with way(**FUNCTION) as made:
        assert await made.authenticate(headers) == principal
        assert await made.authenticate_socket({"user_id": ["ann"]}, headers) is None


@pytest.mark.parametrize("user", ["u" * 256, "a\x00b", "a%2Fb", "UTF-8''%ff"])
async def test_a_user_that_cannot_be_is_refused(user: str) -> None:
    async with way(**FUNCTION) as made:
        with pytest.raises(Unauthenticated, match="x-user-id"):
            await made.authenticate({"x-user-id": user})


async def test_dev_is_as_it_was() -> None:
    async with way() as made:
        assert await made.authenticate({"x-dev-roles": "admin"}) == Principal("dev", frozenset({"admin"}))
        with pytest.raises(ValidationError):
            await made.authenticate({"x-dev-user": "u" * 256})


async def test_where_dev_is_left_out_the_others_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBSITE_SITE_NAME", "app")
    async with ways(**(FUNCTION | {"CHAT_AUTH": "header,dev"})) as made:
        assert [each.name for each in made] == ["header"]


ENDPOINT = "http://127.0.0.1:9/openai/v1"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"CHAT_AUTH": "devv"}, ["CHAT_AUTH: 'devv' is not usable: devv is not known; there is: "]),
        ({"CHAT_AUTH": "dev,dev"}, ["CHAT_AUTH: 'dev,dev' is not usable"]),
        ({"CHAT_AUTH": ","}, ["CHAT_AUTH: ',' is not usable"]),
        ({"CHAT_AUTH": "jwt"}, ["CHAT_JWT_ISSUER: missing", "CHAT_JWT_AUDIENCE: missing"]),
        ({"CHAT_AUTH": "jwt", "CHAT_JWT_ISSUER": "x"}, ["CHAT_JWT_ISSUER: 'x'", "CHAT_JWT_AUDIENCE: missing"]),
        (
            {"CHAT_AUTH": "easyauth,jwt,header"},
            [
                *("CHAT_JWT_ISSUER: missing", "CHAT_JWT_AUDIENCE: missing", "CHAT_AUTH: easyauth counts only"),
                *("CHAT_EASYAUTH_ISSUER: missing", "CHAT_HTTP_AUTH_LEVEL: must be FUNCTION or ADMIN"),
            ],
        ),
        (
            JWT | {"CHAT_JWT_ISSUER": "https://a, https://b", "CHAT_JWT_JWKS_URL": "https://a/keys"},
            ["CHAT_JWT_JWKS_URL: can be given for one issuer alone"],
        ),
        *(
            (JWT | {"CHAT_JWT_ISSUER": issuer}, ["CHAT_JWT_ISSUER: "])
            for issuer in (
                "https://login.microsoftonline.com/common/v2.0",
                "https://login.microsoftonline.com/organizations/v2.0",
                "https://login.microsoftonline.com/contoso.onmicrosoft.com/v2.0",
                "https://sts.windows.net/common/",
                "http://sso.example.com",
                "https://user:password@sso.example.com",
                "https://sso.example.com?x",
                "https://sso.example.com, https://sso.example.com/",
                f"{ISSUER}, https://sts.windows.net/{TENANT}/",
                "sso.example.com",
                "https://",
                "https://[x",
            )
        ),
        *(
            (JWT | {"CHAT_JWT_ALGORITHMS": each}, ["CHAT_JWT_ALGORITHMS: "])
            for each in ("none", "HS256", "RS256,HS256", ",")
        ),
        *(
            (JWT | {"CHAT_JWT_USER_CLAIM": each}, ["CHAT_JWT_USER_CLAIM: "])
            for each in ("email", "upn", "preferred_username")
        ),
        (JWT | {"CHAT_JWT_JWKS_URL": "file:///etc/keys"}, ["CHAT_JWT_JWKS_URL: "]),
        (ON | {"CHAT_EASYAUTH_ISSUER": "aad"}, ["CHAT_EASYAUTH_ISSUER: 'aad' is not usable: must name the tenant"]),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_all_told_at_once(settings: dict[str, str], wrong: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_for(ENDPOINT, **settings)
    assert len(caught.value.wrong) == len(wrong)
    assert all(line.startswith(each) for line, each in zip(caught.value.wrong, wrong, strict=True))


@pytest.mark.parametrize(
    "text",
    [
        f"https://login.microsoftonline.com/{TENANT}/v2.0",
        f"https://login.microsoftonline.com/{TENANT}/",
        f"https://login.microsoftonline.com/{TENANT.upper()}/v2.0/",
        f"https://sts.windows.net/{TENANT}/",
        f"https://sts.windows.net/{TENANT}",
    ],
)
def test_a_tenant_of_entra_is_one_issuer_however_it_is_written(text: str) -> None:
    assert read_setting("CHAT_JWT_ISSUER", {"CHAT_JWT_ISSUER": text}) == (ISSUER,)


@pytest.mark.parametrize(
    "text",
    [
        "https://sts.windows.net.evil.example/",
        f"https://evil.example/{TENANT}/v2.0",
        f"http://sts.windows.net/{TENANT}/",
        f"https://sts.windows.net/{TENANT}/v2.0/x",
        f"https://sts.windows.net/{TENANT}//",
    ],
)
def test_what_only_looks_like_a_tenant_is_another_issuer(text: str) -> None:
    assert canonical(text) != ISSUER


def test_the_mark_of_an_issuer_stays() -> None:
    assert (mark_of(ISSUER), mark_of("github")) == ("7d505a44", "github")
