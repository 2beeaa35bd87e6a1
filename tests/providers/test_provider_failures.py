"""Providers against a server that fails: every way out is one of our errors, or the stream is closed."""

import asyncio
import itertools
import json
import logging
import socket
import time
from collections.abc import Callable
from contextlib import aclosing, suppress

import pytest

from chat.errors import (
    BadProviderReply,
    ContentFiltered,
    ModelNotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSilent,
    ProviderTimeout,
    ProviderUnavailable,
)
from chat.providers.base import (
    ModelChosen,
    ModelMessage,
    ModelProvider,
    ModelRequest,
    StopReason,
    TextPiece,
    UsageReport,
)
from tests.providers.conftest import CHAT, MakeProvider
from tests.support.model_requests import QUESTION, read, read_until_error
from tests.support.model_service import CUT, DONE, HOLD, ModelService, chunk, frame
from tests.support.provider_settings import KEY
from tests.support.wires import ModelWire

FILTERED = {"error": {"message": "The response was filtered", "code": "content_filter", "status": 400}}
FILTERED_INSIDE = {"error": {"code": "BadRequest", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
MODERATED = {"error": {"code": 403, "message": "flagged", "metadata": {"flagged_input": "..."}}}
UNSUPPORTED = {
    "error": {
        "message": "Unsupported value: 'temperature'",
        "code": "unsupported_value",
        "param": "temperature",
    }
}

STATUSES: list[tuple[int, object, type[ProviderError], str]] = [
    (402, {"error": {"message": "Insufficient credits"}}, ProviderAuthFailed, "credentials"),
    (403, MODERATED, ContentFiltered, "content filter"),
    (400, UNSUPPORTED, ProviderRejected, "Unsupported value: 'temperature'"),
    (400, FILTERED, ContentFiltered, "content filter"),
    (400, FILTERED_INSIDE, ContentFiltered, "content filter"),
    (401, {"error": {"message": f"Wrong key {KEY}"}}, ProviderAuthFailed, "credentials"),
    (403, {"error": {"message": "Public access is disabled"}}, ProviderAuthFailed, "credentials"),
    (404, {"error": {"code": "DeploymentNotFound"}}, ModelNotFound, "'model-router'"),
    (408, {}, ProviderTimeout, "in time"),
    (413, {"error": "too large"}, ProviderRejected, "too large"),
    (422, {"detail": "?"}, ProviderRejected, "422"),
    (429, {"statusCode": 429, "message": "Rate limit is exceeded."}, ProviderRateLimited, "limit"),
    (500, {}, ProviderUnavailable, "500"),
    (502, {}, ProviderUnavailable, "502"),
    (503, {"error": {"message": "busy"}}, ProviderUnavailable, "503"),
    (504, {}, ProviderSilent, "in time"),
    (529, {}, ProviderUnavailable, "529"),
    (204, {}, BadProviderReply, "204"),
    (302, {}, BadProviderReply, "302"),
    (307, {}, BadProviderReply, "307"),
]


@pytest.mark.parametrize(("status", "body", "kind", "said"), STATUSES)
async def test_a_status_is_one_of_our_errors(
    service: ModelService,
    provider: ModelProvider,
    status: int,
    body: object,
    kind: type[ProviderError],
    said: str,
):
    service.status, service.headers = status, {"content-type": "application/json", "location": "/elsewhere"}
    service.script = [] if status == 204 else [json.dumps(body).encode()]
    deltas, error = await read_until_error(provider)
    assert (deltas, type(error)) == ([], kind)
    assert said in str(error)
    assert KEY not in str(error)
    assert len(service.asked) == 1, "nothing is retried and no redirect followed below the port"


async def test_a_status_counts_even_when_its_body_breaks_off(service: ModelService, provider: ModelProvider):
    service.status, service.script = 503, [b'{"error"', 0.01, CUT]
    _, error = await read_until_error(provider)
    assert isinstance(error, ProviderUnavailable)


async def test_a_status_counts_even_when_its_body_does_not_end(
    service: ModelService, provider: ModelProvider
):
    service.status, service.script = 503, [b'{"error"', HOLD]
    _, error = await read_until_error(provider, within=3)
    assert isinstance(error, ProviderUnavailable)


async def test_a_parameter_that_is_refused_is_named(service: ModelService, provider: ModelProvider):
    service.status, service.script = 400, [json.dumps(UNSUPPORTED).encode()]
    request = ModelRequest(messages=QUESTION.messages, temperature=0.5)
    with pytest.raises(ProviderRejected) as refusal:
        await read(provider, request)
    assert refusal.value.parameter == "temperature"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "7"}, 7.0), ({"retry-after": "7", "retry-after-ms": "250"}, 0.25), ({}, None)],
)
async def test_a_rate_limit_says_how_long(
    service: ModelService, provider: ModelProvider, headers: dict[str, str], seconds: float | None
):
    service.status, service.headers = 429, headers
    _, error = await read_until_error(provider)
    assert isinstance(error, ProviderRateLimited)
    assert error.retry_after == seconds
    assert len(service.asked) == 1, "the SDK does not sleep on it"


async def test_a_port_where_nobody_listens_is_unavailable(make_provider: MakeProvider):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refuses, and nobody else gets it
        _, error = await read_until_error(make_provider(url=f"http://127.0.0.1:{taken.getsockname()[1]}"))
    assert isinstance(error, ProviderUnavailable)


async def test_a_name_that_does_not_exist_is_unavailable(make_provider: MakeProvider):
    _, error = await read_until_error(make_provider(url="https://model.invalid"), within=20)
    assert isinstance(error, ProviderUnavailable)


async def test_a_server_without_tls_is_unavailable(service: ModelService, make_provider: MakeProvider):
    _, error = await read_until_error(make_provider(url=service.url.replace("http:", "https:")))
    assert isinstance(error, ProviderUnavailable)


async def test_a_connection_closed_before_the_reply_is_unavailable(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [CUT]
    _, error = await read_until_error(provider)
    assert isinstance(error, ProviderUnavailable)


BROKEN: dict[str, Callable[[ModelWire], list[object]]] = {
    "cut": lambda wire: [0.01, CUT],
    "cut in a chunk": lambda wire: [wire.text("lo")[:40], 0.01, CUT],
    "ended": lambda wire: [],
    "ended with [DONE]": lambda wire: [DONE],
    "ended with [DONE] and no end of the body": lambda wire: [DONE, HOLD],
    "ended in a chunk": lambda wire: [wire.text("lo")[:40]],
    "malformed": lambda wire: [b'data: {"choices": [\n\n', HOLD],
    "not an object": lambda wire: [b"data: [1]\n\n", HOLD],
    "another shape": lambda wire: [wire.other_shape, HOLD],
    "a number for text": lambda wire: [wire.no_text, HOLD],
}
"""What follows the first word."""


@pytest.mark.parametrize("name", BROKEN)
async def test_a_reply_that_breaks_keeps_what_was_said_and_fails(
    service: ModelService, provider: ModelProvider, wire: ModelWire, name: str
):
    service.script = [wire.begin, wire.text("Hel"), *BROKEN[name](wire)]
    said, error = await read_until_error(provider)
    assert said == [ModelChosen("gpt-9"), TextPiece("Hel")]
    assert isinstance(error, BadProviderReply)
    assert error.retryable


@pytest.mark.parametrize("script", [[], [b""], [DONE], [b": ping\n\n"], ["nothing", DONE]])
async def test_a_reply_that_says_nothing_at_all_is_a_bad_one(
    service: ModelService, provider: ModelProvider, wire: ModelWire, script: list[object]
):
    service.script = [wire.nothing if line == "nothing" else line for line in script]
    said, error = await read_until_error(provider)
    assert (said, type(error)) == ([], BadProviderReply)


async def test_an_empty_answer_that_is_complete_is_left_to_who_asked(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.stop, DONE]
    assert await read(provider) == [ModelChosen("gpt-9"), StopReason("stop")]


async def test_text_before_the_content_filter_is_kept(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), wire.filtered, DONE]
    assert await read(provider) == [ModelChosen("gpt-9"), TextPiece("Hel"), StopReason("content_filter")]


async def test_an_answer_without_end_can_be_left(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = itertools.repeat(wire.text("a"))
    deltas = provider.stream(QUESTION)
    async with asyncio.timeout(5):
        for _ in range(1000):
            await anext(deltas)
        await deltas.aclose()
        await service.disconnected.wait()


async def test_a_page_instead_of_a_stream_is_a_bad_reply(service: ModelService, provider: ModelProvider):
    service.headers, service.script = {"content-type": "text/html"}, [b"<html>\n\nSign in</html>\n"]
    said, error = await read_until_error(provider)
    assert (said, type(error)) == ([], BadProviderReply)


async def test_an_error_inside_the_stream_is_raised(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), wire.error(message="slow down", code="429"), HOLD]
    said, error = await read_until_error(provider)
    assert said == [ModelChosen("gpt-9"), TextPiece("Hel")]
    assert isinstance(error, ProviderRateLimited)


@pytest.mark.parametrize("ending", [[0.01, CUT], [b"data: {"], [b"data: {\n\n"], [DONE, HOLD]])
async def test_a_complete_reply_needs_no_tidy_end(
    service: ModelService, provider: ModelProvider, ending: list[object], wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hi"), wire.stop, *ending]
    assert await read(provider) == [ModelChosen("gpt-9"), TextPiece("Hi"), StopReason("stop")]


async def test_usage_is_waited_for_no_longer_than_a_word(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hi"), wire.stop, HOLD]
    provider = make_provider(token_gap="0.05")
    assert (await read(provider, within=2))[-1] == StopReason("stop")


@pytest.mark.parametrize("provider_name", CHAT)
async def test_usage_before_the_stop_reason_is_still_last(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    usage = {"prompt_tokens": 9, "completion_tokens": 1}
    service.script = [frame(chunk({"content": "Hi"}, usage=usage)), wire.stop, DONE]
    assert (await read(provider))[2:] == [StopReason("stop"), UsageReport(9, 1)]


SILENT_AT_FIRST: dict[str, list[object]] = {
    "no headers": [HOLD],
    "headers alone": [b"", HOLD],
    "comments": [b": ping\n\n", 0.02, b": ping\n\n", 0.02, b": ping\n\n", 0.02, b": ping\n\n", 0.02, HOLD],
    "a role": ["begin", HOLD],
}


@pytest.mark.parametrize("name", SILENT_AT_FIRST)
async def test_a_model_that_does_not_begin_times_out(
    service: ModelService, make_provider: MakeProvider, name: str, wire: ModelWire
):
    service.script = [wire.begin if line == "begin" else line for line in SILENT_AT_FIRST[name]]
    provider = make_provider(first_token="0.1")
    began = time.monotonic()
    said, error = await read_until_error(provider)
    assert type(error) is (ProviderSilent if name == "no headers" else ProviderTimeout)
    assert not [delta for delta in said if not isinstance(delta, ModelChosen)]
    assert 0.09 < time.monotonic() - began < 2
    await asyncio.wait_for(service.disconnected.wait(), 1)


async def test_a_model_that_falls_silent_times_out(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), b": ping\n\n", HOLD]
    provider = make_provider(token_gap="0.1")
    began = time.monotonic()
    said, error = await read_until_error(provider)
    assert said == [ModelChosen("gpt-9"), TextPiece("Hel")]
    assert isinstance(error, ProviderTimeout)
    assert 0.09 < time.monotonic() - began < 2
    await asyncio.wait_for(service.disconnected.wait(), 1)


async def test_a_slow_model_that_speaks_in_time_is_heard(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire
):
    service.script = [*[line for _ in range(12) for line in (wire.text("a"), 0.04)], wire.stop, DONE]
    provider = make_provider(first_token="0.4", token_gap="0.4")
    assert len(await read(provider)) == 14


async def test_a_slow_reader_is_not_the_models_fault(
    service: ModelService, make_provider: MakeProvider, wire: ModelWire
):
    service.script = [
        *[wire.text("a")] * 10,
        0.6,
        wire.stop,
        DONE,
    ]  # the reader gets there at about the same time
    provider = make_provider(first_token="0.3", token_gap="0.3")
    said = 0
    async with asyncio.timeout(5), aclosing(provider.stream(QUESTION)) as deltas:
        async for _ in deltas:
            said += 1
            await asyncio.sleep(0.05)
    assert said == 12


async def test_closing_the_stream_disconnects(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), HOLD]
    deltas = provider.stream(QUESTION)
    await anext(deltas)
    await deltas.aclose()
    await asyncio.wait_for(service.disconnected.wait(), 1)


async def test_a_cancelled_reader_disconnects(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), HOLD]
    task = asyncio.create_task(read(provider))
    await asyncio.wait_for(service.began.wait(), 5)
    await asyncio.sleep(0.02)  # so that it reads the body
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.disconnected.wait(), 1)


async def test_a_reader_cancelled_before_the_reply_disconnects(
    service: ModelService, provider: ModelProvider
):
    service.script = [HOLD]
    task = asyncio.create_task(read(provider))
    await asyncio.wait_for(service.began.wait(), 5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.wait_for(service.disconnected.wait(), 1)


async def test_a_half_read_connection_is_not_used_again(
    service: ModelService, provider: ModelProvider, wire: ModelWire
):
    service.script = [wire.begin, wire.text("Hel"), HOLD]
    deltas = provider.stream(QUESTION)
    await anext(deltas)
    await deltas.aclose()
    service.script = [wire.begin, wire.text("Hi"), wire.stop, DONE]
    assert (await read(provider))[1] == TextPiece("Hi")
    assert len({asked.client for asked in service.asked}) == 2


async def test_text_that_is_not_unicode_is_refused(provider: ModelProvider):
    question = ModelRequest(messages=(ModelMessage("user", "\ud800"),))
    with pytest.raises(ProviderRejected, match="Unicode"):
        await read(provider, question)


async def test_logs_hold_no_key(
    service: ModelService, provider: ModelProvider, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    service.status, service.script = 401, [json.dumps({"error": {"message": KEY}}).encode()]
    await read_until_error(provider)
    assert caplog.records
    assert KEY not in caplog.text
