"""Requests of sockets that are answered one by one: each is a task, which follows a turn and sends to the one socket.

Their clients wait for ever. So whoever answers says so before: the socket is in a group of this process, and who finds
this process dead closes that, upon which clients ask again.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

from chat.dialects.base import Encoder, RequestFace
from chat.dialects.merging import squeezed
from chat.errors import ChatError, PushError, PushRefused, RateLimited, ShuttingDown
from chat.events import JSONObject, NumberedEvent
from chat.push.base import PushService, instance_group
from chat.rooms.resending import patiently
from chat.telemetry import record, record_error
from chat.turns.tasks import TaskSet

AT_ONCE = 16  # requests of one socket
PATIENCE = 60.0  # seconds for which a frame is tried again
CLOSING = 600.0  # seconds for which it is tried to close the sockets of a process that died
KNOWN = 10_000  # sockets of which it is known that they are in the group
LEFT = "The server that answered is gone: ask again."


class Answer:
    """The frames of one request, in their order."""

    def __init__(self, push: PushService, connection_id: str, request_id: str, face: RequestFace) -> None:
        self._push, self._face = push, face
        self.connection_id, self.request_id = connection_id, request_id
        self._number = 0
        self.over = False  # nobody waits for anything more
        self.following = False  # a turn, which goes on without it

    async def begin(self) -> None:
        """The turn that a request wants to see is there."""
        await self._send(self._face.began(self.request_id))

    async def show(self, payload: JSONObject) -> None:
        """What the service refuses is left out, as in rooms: the numbers have no hole, or the client gives up."""
        if self.over:
            return
        try:
            await self._send(self._face.shown(self.request_id, self._number, payload))
            self._number += 1
        except PushRefused as error:
            kind = str(payload.get("type"))
            record("frame_refused", connection_id=self.connection_id, type=kind, code=error.code)

    async def end(self) -> None:
        await self._last(self._face.ended(self.request_id))

    async def show_nothing(self) -> None:
        await self._last(self._face.idle(self.request_id))

    async def fail(self, error: ChatError) -> None:
        await self._last(self._face.failed(self.request_id, error))

    async def follow(self, batches: AsyncGenerator[Sequence[NumberedEvent]], encoder: Encoder) -> None:
        """Show a turn to its end. What waited while a frame was on its way goes out together."""
        self.following = True
        async with aclosing(batches) as following:
            async for batch in following:
                for numbered in squeezed(batch):
                    for payload in encoder.encode(numbered):
                        await self.show(payload)
                if self.over:
                    return
        await self.end()

    async def _last(self, frame: JSONObject) -> None:
        if not self.over:
            self.over = True
            await self._send(frame)

    async def _send(self, frame: JSONObject) -> None:
        """PushRefused; PushError, after PATIENCE seconds."""
        there = await patiently(lambda: self._push.send_to_connection(self.connection_id, frame), PATIENCE)
        self.over = self.over or not there


class Followers:
    """The requests that this process answers."""

    def __init__(self, push: PushService) -> None:
        self._push = push
        self._running: dict[Answer, asyncio.Task[None]] = {}
        self._grouped = OrderedDict[str, str]()  # by connection, the process in whose group it is
        self._tasks = TaskSet()

    @property
    def busy(self) -> bool:
        """Whether others have to know when this process dies."""
        return bool(self._running)

    def answer(
        self,
        connection_id: str,
        request_id: str,
        face: RequestFace,
        work: Callable[[Answer], Awaitable[None]],
        *,
        be_missed: Callable[[], Awaitable[str]],
    ) -> None:
        """Answer a request by this work, whatever it raises. Returns at once. RateLimited."""
        if sum(each.connection_id == connection_id for each in self._running) >= AT_ONCE:
            raise RateLimited(f"A socket may have {AT_ONCE} requests at a time.")
        answer = Answer(self._push, connection_id, request_id, face)
        task = self._running[answer] = self._tasks.spawn(self._run(answer, work, be_missed))
        task.add_done_callback(lambda _: self._running.pop(answer))

    def leave(self, connection_id: str, request_id: str = "") -> None:
        """Nobody waits for the answer to a request any more, or to any of the socket's. What it asked for is done."""
        for answer, task in self._running.items():
            if answer.connection_id == connection_id and request_id in ("", answer.request_id):
                answer.over = True
                if answer.following:
                    task.cancel()
        if not request_id:
            self._grouped.pop(connection_id, None)

    def died(self, instance_id: str) -> None:
        """A process was found dead: have those ask again whom it answered. Returns at once."""
        self._tasks.spawn(self._close_all(instance_id))

    async def aclose(self, patience: float) -> None:
        """Those that are not over are told that the process ends."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=patience)
        left = [each for each in self._running if not each.over]
        for task in list(self._running.values()):
            task.cancel()
        try:
            async with asyncio.timeout(patience):
                await asyncio.gather(*(each.fail(ShuttingDown()) for each in left), return_exceptions=True)
        except TimeoutError:
            record("requests_left", count=len(left))
        await self._tasks.close()

    async def _run(
        self,
        answer: Answer,
        work: Callable[[Answer], Awaitable[None]],
        be_missed: Callable[[], Awaitable[str]],
    ) -> None:
        try:
            await self._enter(answer.connection_id, await be_missed())
            await work(answer)
        except ChatError as error:
            await self._failed(answer, error)
        except Exception as error:
            record_error("request_failed", error, connection_id=answer.connection_id)
            await self._failed(answer, ChatError())

    async def _enter(self, connection_id: str, instance_id: str) -> None:
        """PushError: who cannot be told of our death is not answered. A process has a new id whenever it has something
        to do again."""
        before = self._grouped.get(connection_id)
        if before == instance_id:
            return
        await self._push.add_to_group(instance_group(instance_id), connection_id)
        self._grouped[connection_id] = instance_id
        if before is not None:
            self._tasks.spawn(self._push.remove_from_group(instance_group(before), connection_id))
        if len(self._grouped) > KNOWN:
            self._grouped.popitem(last=False)

    async def _failed(self, answer: Answer, error: ChatError) -> None:
        try:
            await answer.fail(error)
        except PushError as failed:
            record("failure_not_told", connection_id=answer.connection_id, code=failed.code)

    async def _close_all(self, instance_id: str) -> None:
        try:
            await patiently(lambda: self._push.close_group(instance_group(instance_id), LEFT), CLOSING)
        except ChatError as error:
            record("sockets_not_closed", instance_id=instance_id, code=error.code)
