"""Microsoft's own clients behind one interface, so that a test runs with each of them."""

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from azure.messaging.webpubsubclient import WebPubSubClient as SyncWebPubSubClient
from azure.messaging.webpubsubclient.aio import WebPubSubClient as AioWebPubSubClient
from azure.messaging.webpubsubclient.models import (
    CallbackType,
    OpenClientError,
    SendMessageError,
    WebPubSubDataType,
)

from tests.support.azurite import NODE

DRIVER = Path(__file__).parent / "client.mjs"
RELIABLE = "json.reliable.webpubsub.azure.v1"
PLAIN = "json.webpubsub.azure.v1"
WAIT = 10.0  # seconds for anything


class Refused(Exception):
    """What the service did not do; the text is the name of its error."""


class Client(Protocol):
    """What a test does with a client, and what the client heard: `(kind, facts)` in the order in which it came."""

    heard: "asyncio.Queue[tuple[str, dict[str, Any]]]"

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def join(self, group: str) -> None: ...
    async def leave(self, group: str) -> None: ...
    async def send(self, group: str, data: Any, kind: str = "text", **more: Any) -> None:
        """`more` is `no_echo`, or an `ack_id` of one's own, or `ack=False`."""
        ...

    async def event(self, name: str, data: Any, kind: str = "text") -> None: ...


async def next_of(client: Client, kind: str) -> dict[str, Any]:
    """The next thing of that kind that the client hears; what else it heard before is passed over."""
    async with asyncio.timeout(WAIT):
        while True:
            what, facts = await client.heard.get()
            if what == kind:
                return facts


async def hears_nothing_more(client: Client, kind: str, *, settle: Callable[[], Any]) -> None:
    """After `settle` (something that comes behind whatever was on its way), nothing of that kind is left."""
    await settle()
    kinds = [client.heard.get_nowait()[0] for _ in range(client.heard.qsize())]
    assert kind not in kinds


class _Heard:
    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    def message(self, event: Any) -> dict[str, Any]:
        facts = {"type": str(getattr(event.data_type, "value", event.data_type)), "data": event.data}
        if hasattr(event, "group"):
            facts |= {"group": event.group, "from": event.from_user_id, "sequence": event.sequence_id}
        return facts


class AioClient(_Heard):
    """PyPI azure-messaging-webpubsubclient, aio."""

    def __init__(self, url: str, protocol: str = RELIABLE, **options: Any) -> None:
        super().__init__()
        usual = {"ack_timeout": 3, "message_retry_total": 0, "reconnect_retry_backoff_factor": 0.05}
        self._client = AioWebPubSubClient(url, protocol_type=protocol, **usual | options)

    async def start(self) -> None:
        for kind, show in _callbacks(self).items():
            await self._client.subscribe(kind, self._put(show))
        await _refusing(self._client.open())

    def _put(self, show: Callable[[Any], tuple[str, dict[str, Any]]]) -> Any:
        async def put(event: Any = None) -> None:
            await self.heard.put(show(event))

        return put

    async def stop(self) -> None:
        # Left alone, `close` waits a whole second for this task to wake up.
        if (acks := self._client._task_seq_ack) is not None:
            acks.cancel()
            await asyncio.wait([acks], timeout=WAIT)
        await self._client.close()

    async def join(self, group: str) -> None:
        await _refusing(self._client.join_group(group))

    async def leave(self, group: str) -> None:
        await _refusing(self._client.leave_group(group))

    async def send(self, group: str, data: Any, kind: str = "text", **more: Any) -> None:
        await _refusing(self._client.send_to_group(group, _viewed(data), WebPubSubDataType(kind), **more))

    async def event(self, name: str, data: Any, kind: str = "text") -> None:
        await _refusing(self._client.send_event(name, _viewed(data), WebPubSubDataType(kind)))


class SyncClient(_Heard):
    """The same package's blocking client, in threads. It may lose the wake-up of an ack or of an opened socket, and
    then waits for the whole timeout and succeeds all the same."""

    def __init__(self, url: str, protocol: str = RELIABLE, **options: Any) -> None:
        super().__init__()
        usual: dict[str, Any] = {"ack_timeout": 1, "start_timeout": 3, "message_retry_total": 1}
        usual |= {"message_retry_backoff_factor": 0.05, "reconnect_retry_backoff_factor": 0.05}
        self._client = SyncWebPubSubClient(url, protocol_type=protocol, **usual | options)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()

        def put(show: Callable[[Any], tuple[str, dict[str, Any]]]) -> Any:
            def call_back(event: Any = None) -> None:
                with suppress(
                    RuntimeError
                ):  # the last callbacks may come after the test, when its loop is closed
                    loop.call_soon_threadsafe(self.heard.put_nowait, show(event))

            return call_back

        for kind, show in _callbacks(self).items():
            self._client.subscribe(kind, put(show))
        await _refusing(asyncio.to_thread(self._client.open))

    async def stop(self) -> None:
        await asyncio.to_thread(self._client.close)

    async def join(self, group: str) -> None:
        await _refusing(asyncio.to_thread(self._client.join_group, group))

    async def leave(self, group: str) -> None:
        await _refusing(asyncio.to_thread(self._client.leave_group, group))

    async def send(self, group: str, data: Any, kind: str = "text", **more: Any) -> None:
        send = self._client.send_to_group
        await _refusing(asyncio.to_thread(send, group, _viewed(data), WebPubSubDataType(kind), **more))

    async def event(self, name: str, data: Any, kind: str = "text") -> None:
        send = self._client.send_event
        await _refusing(asyncio.to_thread(send, name, _viewed(data), WebPubSubDataType(kind)))


def _callbacks(heard: _Heard) -> dict[CallbackType, Callable[[Any], tuple[str, dict[str, Any]]]]:
    return {
        CallbackType.CONNECTED: lambda e: ("connected", {"id": e.connection_id, "user": e.user_id}),
        CallbackType.DISCONNECTED: lambda e: ("disconnected", {"reason": e.message or ""}),
        CallbackType.STOPPED: lambda _: ("stopped", {}),
        CallbackType.GROUP_MESSAGE: lambda e: ("group", heard.message(e)),
        CallbackType.SERVER_MESSAGE: lambda e: ("server", heard.message(e)),
        CallbackType.REJOIN_GROUP_FAILED: lambda e: ("rejoin-failed", {"group": e.group}),
    }


async def _refusing(operation: Any) -> None:
    try:
        await operation
    except SendMessageError as error:
        raise Refused(error.error_detail.name if error.error_detail else str(error)) from None
    except OpenClientError as error:
        raise Refused(str(error)) from None


class Node:
    """A Node process with Microsoft's JavaScript packages."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.heard: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls) -> "Node":
        process = await asyncio.create_subprocess_exec(
            str(NODE),
            str(DRIVER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=4 * 1024 * 1024,
        )
        return cls(process)

    async def run(self, command: str, /, **args: Any) -> Any:
        """The result of a command. Refused when it failed."""
        assert self._process.stdin
        number = len(self._waiting)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"id": number, "do": command, "args": args}).encode() + b"\n")
        async with asyncio.timeout(WAIT):
            return await future

    async def aclose(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        try:
            async with asyncio.timeout(3):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            said = json.loads(line)
            if "event" in said:
                self.heard.put_nowait((said.pop("event"), said))
            elif said["ok"] and not self._waiting[said["id"]].done():
                self._waiting[said["id"]].set_result(said["result"])
            elif not self._waiting[said["id"]].done():
                error = said["error"]
                self._waiting[said["id"]].set_exception(
                    Refused(error["code"] or f"{error['name']}: {error['text']}")
                )


class JsClient:
    """npm @azure/web-pubsub-client."""

    def __init__(self, url: str, protocol: str = RELIABLE, **options: Any) -> None:
        self._url, self._protocol, self._options = url, protocol, options
        self.heard: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def start(self) -> None:
        self.node = await Node.open()
        self.heard = self.node.heard
        await self.node.run("start", url=self._url, protocol=self._protocol, options=self._options)

    async def stop(self) -> None:
        with suppress(Refused):
            await self.node.run("stop")
        await self.node.aclose()

    async def join(self, group: str) -> None:
        await self.node.run("join", group=group)

    async def leave(self, group: str) -> None:
        await self.node.run("leave", group=group)

    async def send(self, group: str, data: Any, kind: str = "text", **more: Any) -> None:
        options = {"noEcho": more.get("no_echo"), "ackId": more.get("ack_id")}
        options["fireAndForget"] = not more.get("ack", True)
        await self.node.run("send", group=group, data=_packed(data), type=kind, options=options)

    async def event(self, name: str, data: Any, kind: str = "text") -> None:
        await self.node.run("event", name=name, data=_packed(data), type=kind)


def _viewed(data: Any) -> Any:
    return memoryview(data) if isinstance(data, bytes) else data


def _packed(data: Any) -> Any:
    return {"base64": base64.b64encode(data).decode()} if isinstance(data, bytes | bytearray) else data


def bytes_of(data: Any) -> bytes:
    """Binary data as any of the clients shows it."""
    if isinstance(data, dict):
        return base64.b64decode(data["base64"])
    return bytes(data)


CLIENTS: dict[str, Callable[..., Client]] = {"aio": AioClient, "sync": SyncClient, "js": JsClient}


@asynccontextmanager
async def connected(kind: str, url: str, protocol: str = PLAIN, **options: Any) -> AsyncGenerator[Client]:
    """A client of that kind, for as long as the block runs."""
    client = CLIENTS[kind](url, protocol, **options)
    try:
        await client.start()
        yield client
    finally:
        await client.stop()
