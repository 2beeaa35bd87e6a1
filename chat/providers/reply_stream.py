"""One call of a model service over aiohttp: send, read with patience, close. What all providers have in common.

A provider says how a request is sent and what its client raises; everything after the reply's head happens here.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import orjson

from chat.errors import (
    BadProviderReply,
    ProviderError,
    ProviderRejected,
    ProviderSilent,
    ProviderTimeout,
    ProviderUnavailable,
)
from chat.providers.base import ModelChosen, ModelDelta
from chat.providers.patience import Patience
from chat.providers.service_errors import error_of_status
from chat.providers.sse_decoder import MAX_EVENT_BYTES, SseDecoder

ERROR_BODY_BYTES = 64 * 1024
ERROR_BODY_TIMEOUT = 1.0
"""Seconds to wait for the text of a refusal: the status alone says nearly enough."""
TRAILER_TIMEOUT = 5.0
"""Seconds to wait for the usage when the reply itself is complete."""
LINGER = 0.1
"""Seconds to wait for the end of the body after `[DONE]`: a body read to its end leaves a connection to use again."""

UNREACHABLE = "The model service cannot be reached."
SLOW_TO_CONNECT = "The model service took too long to connect."
CUT = "The model's reply was cut off."

type ErrorTable = Mapping[type[Exception], tuple[type[ProviderError], str]]
"""What is raised before a reply begins, and what we raise for it; the nearest base class counts."""

COMMON_ERRORS: ErrorTable = {
    orjson.JSONEncodeError: (ProviderRejected, "The conversation holds text that is not Unicode."),
    TimeoutError: (ProviderSilent, ""),
    OSError: (ProviderUnavailable, UNREACHABLE),
}


class ReplyReader(Protocol):
    """Turns the `data` of one reply's events into deltas, by the rules of its protocol. Feed `read` until `done` or the
    end of the body, then ask `finish`. Both raise ProviderError."""

    done: bool  # nothing is to come any more

    @property
    def complete(self) -> bool:
        """Whether the service said that the reply ended: then the body may break off."""
        ...

    @property
    def trailing(self) -> bool:
        """Whether what is still to come can only be the usage."""
        ...

    def read(self, data: bytes) -> Sequence[ModelDelta]: ...

    def finish(self) -> Sequence[ModelDelta]: ...


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request that is ready to be sent. `send` gives the response, of which nothing but the head was read."""

    send: Callable[[], Awaitable[aiohttp.ClientResponse]]
    reader: ReplyReader
    errors: ErrorTable
    model: str
    parameters: Collection[str]  # the keys of the body
    first_token_timeout: float
    token_gap_timeout: float


async def stream_reply(call: ModelCall) -> AsyncGenerator[ModelDelta]:
    """What a `ModelProvider` streams, for one call."""
    reader = call.reader
    reply = await _ask(call)
    decoder = _WholeBody() if reply.is_whole else SseDecoder()
    try:
        while block := await reply.read():
            spoke = False
            for data in decoder.decode(block):
                for delta in reader.read(data):
                    spoke = spoke or type(delta) is not ModelChosen
                    yield delta
            reply.expect(reader, spoke=spoke)
        for data in decoder.flush():
            for delta in reader.read(data):
                yield delta
    except (BadProviderReply, ProviderTimeout):
        if not reader.complete:
            raise
    finally:
        reply.close()
    for delta in reader.finish():
        yield delta


def translated(error: Exception, table: ErrorTable) -> ProviderError:
    """Our error for one that was raised before the reply began."""
    kind, message = next(table[base] for base in type(error).__mro__ if base in table)
    return kind(message)


async def _ask(call: ModelCall) -> "_Reply":
    loop = asyncio.get_running_loop()
    deadline = loop.time() + call.first_token_timeout
    try:
        async with asyncio.timeout_at(deadline):
            response = await call.send()
            if response.status != 200:
                raise await _refusal(response, call)
    except tuple(call.errors) as error:
        raise translated(error, call.errors) from error
    return _Reply(response, deadline - loop.time(), call.token_gap_timeout)


async def _refusal(response: aiohttp.ClientResponse, call: ModelCall) -> ProviderError:
    """The error that a reply with a bad status stands for."""
    body = bytearray()
    try:
        async with asyncio.timeout(ERROR_BODY_TIMEOUT):
            while len(body) < ERROR_BODY_BYTES and (block := await response.content.readany()):
                body += block
    except (aiohttp.ClientError, OSError):  # what there is of it will do
        pass
    finally:
        response.close()
    return error_of_status(
        response.status, response.headers, bytes(body), model=call.model, parameters=call.parameters
    )


class _Reply:
    """The body of one reply, read with patience; closing it drops the connection unless all of it was read."""

    def __init__(self, response: aiohttp.ClientResponse, first_token_timeout: float, gap: float) -> None:
        self._response = response
        self._content = response.content
        self._gap = gap
        self._patience = Patience(first_token_timeout, response.close)

    @property
    def is_whole(self) -> bool:
        """Whether the service does not stream, but sends one JSON object."""
        return self._response.content_type == "application/json"

    async def read(self) -> bytes:
        """What has come, as soon as something has; b"" at the end."""
        try:
            with self._patience:
                return await self._content.readany()
        except Exception as error:  # whatever it is, it was raised by reading the body
            raise ProviderTimeout() if self._patience.over else BadProviderReply(CUT) from error

    def expect(self, reader: ReplyReader, *, spoke: bool) -> None:
        """Be patient from now on for what is still to come after what was just read."""
        if reader.done:
            self._patience.allow(min(LINGER, self._gap))
        elif reader.trailing:
            self._patience.allow(min(TRAILER_TIMEOUT, self._gap))
        elif spoke:
            self._patience.allow(self._gap)

    def close(self) -> None:
        self._patience.stop()
        self._response.close()


class _WholeBody:
    """Reads like a decoder, and takes the whole body for one chunk."""

    def __init__(self) -> None:
        self._body = bytearray()

    def decode(self, chunk: bytes) -> list[bytes]:
        self._body += chunk
        if len(self._body) > MAX_EVENT_BYTES:
            raise BadProviderReply(f"The model service sent more than {MAX_EVENT_BYTES} bytes at once.")
        return []

    def flush(self) -> list[bytes]:
        return [bytes(self._body)]
