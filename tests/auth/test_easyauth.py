"""Callers whom App Service Authentication signed in."""

from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.datastructures import Headers

from chat.auth.base import Principal
from chat.errors import Unauthenticated
from chat.settings import SettingsError
from tests.support.easy_auth import (
    AAD,
    ISSUER,
    NAME_ID,
    OBJECT_ID,
    OID,
    ON,
    ROLE,
    TENANT,
    TENANT_ID,
    encoded,
    signed_in,
    told,
)
from tests.support.issuers import way

BEARER = {"authorization": "Bearer x"}


async def whom(headers: Any, **settings: str) -> Principal | None:
    async with way(**(ON | settings)) as made:
        return await made.authenticate(headers)


async def test_a_user_of_entra_is_who_they_are_by_token_too() -> None:
    found = await whom(signed_in(told(*AAD, ("roles", "admin"), (ROLE, "reader"))))
    assert found == Principal(OID, frozenset({"admin", "reader"}), None, by_cookie=True)


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ([("iss", f"https://sts.windows.net/{TENANT}/"), (OBJECT_ID, OID)], OID),
        ([("iss", ISSUER), ("oid", OID)], OID),
        ([("iss", ISSUER), ("oid", OID), (OBJECT_ID, OID)], OID),
        ([(TENANT_ID, TENANT.upper()), (OBJECT_ID, OID)], OID),
    ],
)
async def test_however_the_platform_names_its_claims(claims: list[tuple[str, str]], user: str) -> None:
    assert (found := await whom(signed_in(told(*claims)))) and found.user_id == user


async def test_what_was_sent_with_a_token_ends_with_it_and_is_no_cookie() -> None:
    found = await whom(signed_in(told(*AAD, ("exp", "1795248000")), **BEARER))
    assert found == Principal(OID, expires=datetime.fromtimestamp(1795248000, UTC))


@pytest.mark.parametrize(
    ("headers", "by_cookie"),
    [
        ({}, True),
        ({"cookie": "AppServiceAuthSession=x"}, True),
        ({"cookie": "AppServiceAuthSession1=x", **BEARER}, True),
        ({"cookie": "other=x", **BEARER}, False),
        ({"x-zumo-auth": "x"}, False),
        ({"authorization": ""}, True),
    ],
)
async def test_whether_a_cookie_signed_in(headers: dict[str, str], by_cookie: bool) -> None:
    assert (found := await whom(signed_in(told(*AAD), **headers))) and found.by_cookie is by_cookie


NAMED = {"CHAT_EASYAUTH_ISSUER": f"{ISSUER}, github, swa"}


async def test_users_of_further_providers_are_nobody_of_the_first() -> None:
    github = signed_in(told((NAME_ID, "583231"), idp="github"), idp="github", user="583231")
    assert (found := await whom(github, **NAMED)) and found.user_id == "github:583231"
    alone = {"CHAT_EASYAUTH_ISSUER": "github"}
    assert (found := await whom(github, **alone)) and found.user_id == "583231"
    del github["x-ms-client-principal"]
    assert (found := await whom(github, **NAMED)) and found.user_id == "github:583231"


async def test_static_web_apps_have_a_shape_of_their_own() -> None:
    principal = {
        "identityProvider": "aad",
        "userId": "d75b260a64504067bfc5b2905e3b8182",
        "userDetails": "ann@example.com",
        "userRoles": ["anonymous", "authenticated", "admin"],
    }
    headers = {"x-ms-client-principal": encoded(principal)}
    assert (found := await whom(headers, **NAMED)) and found.is_admin
    assert found.user_id == "swa:d75b260a64504067bfc5b2905e3b8182"
    with pytest.raises(Unauthenticated):
        await whom(headers)


@pytest.mark.parametrize(
    "headers", [{}, {"x-ms-client-principal-name": "ann"}, {"authorization": "Bearer x"}, {"cookie": "x"}]
)
async def test_who_did_not_sign_in_is_left_to_the_next_way(headers: dict[str, str]) -> None:
    assert await whom(headers) is None


async def test_a_socket_without_negotiation_is_never_believed() -> None:
    async with way(**ON) as made:
        assert await made.authenticate_socket({}, signed_in(told(*AAD))) is None


OTHER = ISSUER.replace("72f9", "72f8")


@pytest.mark.parametrize(
    "headers",
    [
        signed_in(b"not json"),
        signed_in(None),
        signed_in([]),
        signed_in("text"),
        signed_in({}),
        signed_in(b"[" * 5000),
        {"x-ms-client-principal": "!!!"},
        {"x-ms-client-principal": "é"},
        {"x-ms-client-principal": "A" * 70_000},
        {"x-ms-client-principal-id": OID},
        {"x-ms-client-principal-id": OID, "x-ms-client-principal-idp": "aad"},
        signed_in(told()),
        signed_in(told(("iss", ISSUER))),
        signed_in(told(("iss", ISSUER), (NAME_ID, "pairwise"))),
        signed_in(told(("iss", ISSUER), ("oid", ""))),
        signed_in(told(("iss", ISSUER), ("oid", OID), (OBJECT_ID, "another"))),
        signed_in(told(("iss", OTHER), (OBJECT_ID, OID), (TENANT_ID, TENANT))),
        signed_in(told(("iss", ISSUER), ("iss", OTHER), ("oid", OID))),
        signed_in(told(("iss", ISSUER), ("oid", "x\ny"))),
        signed_in(told((OBJECT_ID, OID), (TENANT_ID, OTHER))),
        signed_in(told(claims="x", idp="facebook"), idp="facebook"),
        signed_in(told((NAME_ID, "1"), idp="github"), idp="github"),
        signed_in({"claims": [7, None, {"typ": 7, "val": 7}, {"typ": "iss"}]}),
    ],
    ids=lambda headers: str(headers)[:60],
)
async def test_what_is_there_and_wrong_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated):
        await whom(headers)


async def test_a_header_that_came_twice_is_refused() -> None:
    headers = signed_in(told(*AAD))
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    for name in headers:
        with pytest.raises(Unauthenticated, match="more than once"):
            await whom(Headers(raw=[*raw, (name.encode(), b"x")]))


@pytest.mark.parametrize("told_by_platform", ["", "false", "False", "0", "no"])
async def test_where_the_platform_does_not_sign_people_in_the_app_does_not_start(
    told_by_platform: str,
) -> None:
    with pytest.raises(SettingsError, match="anybody could write its headers"):
        await whom({}, WEBSITE_AUTH_ENABLED=told_by_platform)
