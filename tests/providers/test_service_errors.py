"""What services say when they refuse, and what of it is passed on."""

import json

import pytest

from chat.errors import (
    BadProviderReply,
    ContentFiltered,
    ProviderAuthFailed,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)
from chat.providers.service_errors import error_in_stream, error_of_status, retry_after

NOON = "Fri, 20 Nov 2026 12:00:00 GMT"

WAITS: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "3"}, 3.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": "0"}, 0.0),
    ({"retry-after-ms": "20"}, 0.02),
    ({"x-ms-retry-after-ms": "20", "retry-after": "1"}, 0.02),
    ({"retry-after": "Fri, 20 Nov 2026 12:00:07 GMT", "date": NOON}, 7.0),
    ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT", "date": NOON}, 0.0),
    ({"retry-after": "Fri, 20 Nov 2020 12:00:00 GMT"}, 0.0),
    ({"retry-after": "Fri, 20 Nov 2026 12:00:00 -0000", "date": NOON}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": "-1"}, None),
    ({"retry-after": "1e999"}, None),
    ({"retry-after": "12 o'clock"}, None),
    ({"retry-after-ms": "nan"}, None),
]


@pytest.mark.parametrize(("headers", "seconds"), WAITS)
def test_every_way_to_say_how_long(headers: dict[str, str], seconds: float | None):
    assert retry_after(headers) == seconds


IN_STREAM: list[tuple[object, type[ProviderError]]] = [
    ({"message": "slow down", "code": "429"}, ProviderRateLimited),
    ({"message": "slow down", "code": 429}, ProviderRateLimited),
    ({"type": "requests", "code": "rate_limit_exceeded"}, ProviderRateLimited),
    ({"type": "insufficient_quota"}, ProviderRateLimited),
    ({"code": "TooManyRequests"}, ProviderRateLimited),
    ({"type": "server_error", "code": None}, ProviderUnavailable),
    ({"code": "InternalServerError"}, ProviderUnavailable),
    ({"type": "overloaded_error"}, ProviderUnavailable),
    ({"code": 502}, ProviderUnavailable),
    ({"status": 503}, ProviderUnavailable),
    ({"code": 408}, ProviderTimeout),
    ({"code": "Timeout"}, ProviderTimeout),
    ({"code": "content_filter"}, ContentFiltered),
    ({"code": 400, "innererror": {"code": "ResponsibleAIPolicyViolation"}}, ContentFiltered),
    ({"code": "invalid_api_key", "type": "invalid_request_error"}, ProviderAuthFailed),
    ({"code": 401}, ProviderAuthFailed),
    ({"type": "invalid_request_error"}, ProviderRejected),
    ({"code": 400}, ProviderRejected),
    ({"code": "context_length_exceeded"}, ProviderRejected),
    ({"code": "something_new"}, BadProviderReply),
    ("it broke", BadProviderReply),
    (["it broke"], BadProviderReply),
]


@pytest.mark.parametrize(("error", "kind"), IN_STREAM)
def test_an_error_inside_a_stream_has_its_kind(error: object, kind: type[ProviderError]):
    assert type(error_in_stream(error)) is kind


def refused(message: object) -> str:
    body = json.dumps({"error": {"message": message}}).encode()
    return str(error_of_status(400, {}, body, model="m"))


def test_the_reason_of_a_refusal_is_passed_on():
    assert refused("max_tokens  is\ntoo large") == (
        "The model service refused the request (400): max_tokens is too large"
    )


SECRETS = [
    "0123456789abcdef0123456789abcdef",
    "7tZx0Qm4VbWk2Lr8Ny6Pd1Hs3Fg5Jc9AaUeIoXvBnMlKqWcRtYhGfDsA1Zx2C3v4B5n6M7QwErTyUiOpAsDf",
    "sk-short",
    "Bearer abc",
    "https://me:pass@r.openai.azure.com/openai?sig=abc",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_keys_and_addresses_are_taken_out(secret: str):
    assert secret.split()[-1] not in refused(f"You sent {secret}, which is wrong")


def test_model_names_and_codes_are_left_in():
    said = refused("gpt-4o-mini-2024-07-18 gave context_length_exceeded_in_this_deployment")
    assert said.endswith(": gpt-4o-mini-2024-07-18 gave context_length_exceeded_in_this_deployment")


def test_a_long_reason_is_shortened():
    assert len(refused("very " * 1000)) < 400


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'"no"', b'{"error":null}', b'{"error":{"message":1}}']
)
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_body_of_any_shape_will_do(status: int, body: bytes):
    assert isinstance(error_of_status(status, {}, body, model="m"), ProviderError)
