"""Sends an answer: as a stream at its pace and with its faults, or as one object."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from local.model_server.answers import Answer, served_call
from local.model_server.chunks import Chunks, Tokens
from local.model_server.directives import Directives
from local.model_server.line import Line
from local.model_server.problems import Problem, error_object
from local.model_server.response_events import ResponseEvents

WHOLE = 64 * 1024 * 1024  # characters of an answer that does not stream
BATCH_BYTES = 16_384  # of frames in one write, while no rate is set
ARRIVAL = 0.3  # seconds before a cut: clients throw away what came with the end and they had not read yet


class FrameWriter:
    """Writes frames, each whole; those that need not go out yet wait for their batch."""

    def __init__(self, response: web.StreamResponse, directives: Directives) -> None:
        self._response = response
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._malformed = directives.malformed or 0
        self._frames = 0
        self._transforms = [
            transform
            for wanted, transform in ((directives.comments, _with_comment), (directives.crlf, _with_crlf))
            if wanted
        ]

    def add(self, frame: bytes) -> None:
        self._frames += 1
        if self._frames == self._malformed:
            frame = frame[: len(frame) // 2] + b"\n\n"
        for transform in self._transforms:
            frame = transform(frame)
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)

    async def flush_full_batch(self) -> None:
        if self._waiting_bytes >= BATCH_BYTES:
            await self.flush()
            # A socket that takes everything never makes `write` wait, and nobody else would get a turn.
            await asyncio.sleep(0)

    async def flush(self) -> None:
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            await self._response.write(data)


def _with_comment(frame: bytes) -> bytes:
    return b": keep-alive\n\n" + frame


def _with_crlf(frame: bytes) -> bytes:
    return frame.replace(b"\n", b"\r\n")


class Playback:
    """One answer on its way to one client."""

    def __init__(
        self, line: Line, answer: Answer, chunks: Chunks | ResponseEvents, directives: Directives
    ) -> None:
        self._line = line
        self._answer = answer
        self._chunks = chunks
        self._directives = directives
        self._rate = directives.rate or answer.rate
        self._started = time.monotonic() + directives.first / 1000
        self._sent = 0

    async def stream(self, request: web.Request, *, prompt_words: int, usage: bool) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        writer = FrameWriter(response, self._directives)
        for frame in self._chunks.opening():
            writer.add(frame)
        await writer.flush()
        if await self._send_deltas(writer):
            self._close(writer, prompt_words, usage)
        await writer.flush()
        await response.write_eof()
        return response

    async def _send_deltas(self, writer: FrameWriter) -> bool:
        """Whether the stream ends as it should."""
        faults = self._faults()
        deltas = self._answer.deltas()
        await self._line.wait_until(self._started)
        while True:
            if self._sent in faults:
                await writer.flush()
                return await faults[self._sent](writer)
            if self._rate is not None:
                await self._line.wait_until(self._started + self._sent / self._rate)
            delta = next(deltas, None)
            if delta is None:
                return not self._directives.nodone
            writer.add(self._chunks.delta(delta))
            self._sent += 1
            await (writer.flush() if self._rate is not None else writer.flush_full_batch())

    def _faults(self) -> dict[int, Callable[[FrameWriter], Awaitable[bool]]]:
        """What goes wrong, by the number of deltas after which it does."""
        orders = self._directives
        table = [
            (orders.filter_after, self._filter),
            (orders.error_after, self._break),
            (orders.cut, self._cut),
            (orders.stall, self._stall),
        ]
        return {after: fault for after, fault in table if after is not None}

    async def _filter(self, _: FrameWriter) -> bool:
        self._answer.finish = "content_filter"
        return True

    async def _break(self, writer: FrameWriter) -> bool:
        writer.add(self._chunks.error(error_object(500)))
        return False

    async def _cut(self, _: FrameWriter) -> bool:
        if self._sent:
            await self._line.wait_until(time.monotonic() + ARRIVAL)
        self._line.drop()
        return False

    async def _stall(self, _: FrameWriter) -> bool:
        await self._line.wait_forever()
        return False

    def _close(self, writer: FrameWriter, prompt_words: int, usage: bool) -> None:
        finish = self._directives.finish or self._answer.finish
        for frame in self._chunks.closing(finish, self._tokens(prompt_words), usage=usage):
            writer.add(frame)

    def _tokens(self, prompt_words: int) -> Tokens:
        return Tokens(prompt_words, self._sent, len(self._answer.reasoning))

    async def whole(self, request: web.Request, *, prompt_words: int) -> web.StreamResponse:
        """The same answer as one object, once all of it would have been said."""
        if self._directives.stall is not None or self._directives.endless:
            await self._line.wait_forever()
        if self._directives.error_after is not None:
            raise Problem(500)
        message = self._message()
        await self._line.wait_until(self._started + self._sent / (self._rate or float("inf")))
        finish = self._directives.finish or self._answer.finish
        body = self._chunks.completion(message, finish, self._tokens(prompt_words))
        if self._directives.malformed:
            body = body[: len(body) // 2]
        response = web.Response(body=body, content_type="application/json")
        if self._directives.cut is not None:
            await self._send_half(request, body)
        return response

    def _message(self) -> dict[str, object]:
        """The deltas joined as the service joins them."""
        texts: list[str] = []
        room = WHOLE
        for delta in self._answer.deltas():
            if self._sent == self._directives.filter_after:
                self._answer.finish = "content_filter"
                break
            self._sent += 1
            texts.append(orjson.loads(delta).get("content") or "")
            room -= len(texts[-1])
            if room < 0:
                raise Problem(
                    400, f"An answer in one piece has at most {WHOLE} characters; ask for a stream."
                )
        answer = self._answer
        message: dict[str, object] = {"role": "assistant", "content": "".join(texts) or None}
        message["refusal"] = answer.refusal or None
        if answer.reasoning:
            message["reasoning_content"] = "".join(answer.reasoning)
        if answer.served:
            message["served"] = [
                served_call(call, f"served_{place + 1}") for place, call in enumerate(answer.served)
            ]
        if answer.calls:
            message["tool_calls"] = [
                {"id": answer.call_id(index), "type": "function", "function": call._asdict()}
                for index, call in enumerate(answer.calls)
            ]
        return message

    async def _send_half(self, request: web.Request, body: bytes) -> None:
        response = web.StreamResponse(headers={"content-type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        self._line.drop()
