"""What services say when they refuse, and what of it is passed on."""

import json
import time
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
from chat.providers.service_errors import (
    LONGEST_WAIT,
    LOOKED_AT,
    error_in_stream,
    error_of_status,
    retry_after,
)

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
    ({"retry-after": "9" * 300}, LONGEST_WAIT),
    ({"retry-after": "Fri, 20 Nov 9999 12:00:07 GMT", "date": NOON}, LONGEST_WAIT),
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
    "tool_choice",
    "response_format",
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
    ({"message": "no", "param": "top_p", "code": "unknown_parameter"}, "top_p"),
    # Not by its text, which may quote what a caller wrote.
    ({"message": "Unrecognized request argument supplied: temperature"}, ""),
    ({"message": "temperature is not supported", "code": "unsupported_parameter"}, ""),
    ({"message": "temperature is not supported", "param": "temperature"}, ""),
    ({"message": "`top_p` is deprecated for this model.", "param": None, "code": None}, ""),
    ({"detail": [{"type": "extra_forbidden", "loc": ["body", "top_p"], "msg": "Not permitted"}]}, ""),
    # Nothing that would change what is asked.
    ({"message": "gemma does not support tools"}, ""),
    ({"message": "no", "param": "tools", "code": "unsupported_parameter"}, ""),
    ({"message": "no", "param": "tool_choice", "code": "unsupported_parameter"}, ""),
    ({"message": "no", "param": "response_format", "code": "unsupported_value"}, ""),
    ({"message": "no", "param": "stream_options", "code": "unknown_parameter"}, ""),
    # That very one, and none that was not sent.
    ({"message": "no", "param": "temperature.value", "code": "unsupported_value"}, ""),
    ({"message": "no", "param": ["temperature"], "code": "unsupported_value"}, ""),
    ({"message": "no", "param": "max_completion_tokens", "code": "unsupported_parameter"}, ""),
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


def test_of_a_text_without_end_only_the_beginning_is_looked_at():
    began = time.process_time()
    said = refused("a" * 64_000 + " " + "b/" * 500_000)
    assert time.process_time() - began < 0.1
    assert len(said) < 400


@pytest.mark.parametrize("before", range(LOOKED_AT - 40, LOOKED_AT + 4))
def test_a_key_is_taken_out_whole_wherever_the_text_is_cut(before: int):
    key = "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6"
    addresses = f"https://{'x' * (before - 20)} and "  # which are taken out, so that the cut comes into sight
    said = refused(f"{addresses} {key} was wrong")
    assert not any(key[start : start + 5] in said for start in range(len(key) - 5))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"null", b'"no"', b'{"error":null}', b'{"error":{"message":1}}']
)
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_body_of_any_shape_will_do(status: int, body: bytes):
    assert isinstance(error_of_status(status, {}, body, model="m"), ProviderError)
