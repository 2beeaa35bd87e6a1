"""What services say when they refuse, and what of it is passed on."""

import json
from typing import Any

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


SENT = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "temperature",
    "top_p",
    "seed",
    "tools",
)

REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {
            "message": "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead.",
            "param": "max_tokens",
            "code": "unsupported_parameter",
        },
        "max_tokens",
    ),
    (
        {
            "message": "Unsupported value: 'temperature' does not support 0.2 with this model.",
            "param": "temperature",
            "code": "unsupported_value",
        },
        "temperature",
    ),
    ({"message": "Unrecognized request argument supplied: stream_options"}, "stream_options"),
    ({"error_code": "BAD_REQUEST", "message": 'json: unknown field "stream_options"'}, "stream_options"),
    ({"message": "Validation error at #/stream_options: Extra inputs are not permitted"}, "stream_options"),
    (
        {"message": "[{'type': 'extra_forbidden', 'loc': ('body', 'seed')}] not permitted", "code": 400},
        "seed",
    ),
    ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Not permitted"}]}, "seed"),
    (
        {"message": "no", "param": "stream_options.include_usage", "code": "unknown_parameter"},
        "stream_options",
    ),
    ({"message": "`temperature` and `top_p` cannot both be specified for this model."}, "temperature"),
    ({"message": "`top_p` is deprecated for this model."}, "top_p"),
    ({"message": "gemma does not support tools"}, "tools"),
    ({"message": "'presence_penalty' is not supported", "param": "presence_penalty"}, ""),
    ({"message": "This model does not support messages of this role", "param": "messages[0].role"}, ""),
    ({"message": "max_tokens is too large", "param": "max_tokens", "code": "invalid_value"}, ""),
    ({"message": "temperature must be between 0 and 2", "param": "temperature"}, ""),
    ({"message": 5, "param": 5, "code": "unsupported_parameter"}, ""),
    ({}, ""),
]


@pytest.mark.parametrize(("error", "parameter"), REFUSED)
@pytest.mark.parametrize("status", [400, 422])
def test_a_parameter_that_the_service_does_not_take_is_named(
    status: int, error: dict[str, Any], parameter: str
):
    for body in ({"error": error}, error):
        raised = error_of_status(status, {}, json.dumps(body).encode(), model="m", parameters=SENT)
        assert isinstance(raised, ProviderRejected)
        assert raised.parameter == parameter


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
