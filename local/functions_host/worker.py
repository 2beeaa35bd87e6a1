"""The Python worker: Microsoft's own runtime library, in this process and on this event loop.

Indexing, binding, the HTTP server that streams and its pairing with invocations are the library's. What the host
would send it over gRPC are plain function calls here, with `protos` in place of the protobuf classes.
"""

import asyncio
import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from time import monotonic
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import azure_functions_runtime as runtime
from azure_functions_runtime.http_v2 import http_coordinator

from local.functions_host import protos
from local.functions_host.functions import Function, read_function
from local.functions_host.webpubsub_actions import carry_out

HOST = "127.0.0.1"
# How long a forwarded request may take to reach the worker after its client left.
UNPAIRED_GRACE = 2.0

log = logging.getLogger("local.functions_host")


class WorkerError(Exception):
    """The app cannot be started; the text is the worker's own."""


class Invocation:
    """One call of a function. It is open until the worker answered and, for HTTP, until forwarding ended."""

    def __init__(self, function: Function, closed: Callable[["Invocation"], None]) -> None:
        self.id = str(uuid4())
        self.function = function
        self._closed = closed
        self._halves = 0
        self._started = monotonic()
        self._answer: asyncio.Task[Any] | None = None

    def begin(self, data: protos.TypedData) -> asyncio.Task[Any]:
        """Give the worker its half: the trigger's data. The task ends with the InvocationResponse."""
        self._halves += 1
        self._answer = asyncio.create_task(self._run(data))
        self._answer.add_done_callback(lambda _: self._leave())
        return self._answer

    async def _run(self, data: protos.TypedData) -> Any:
        """The InvocationResponse, once what the function set on its output bindings is carried out."""
        response = await _ask(runtime.invocation_request, invocation_request=self._request(data))
        if response.result.status == protos.StatusResult.Success:
            try:
                await carry_out(self.function, response.output_data or ())
            except Exception as error:
                problem = protos.RpcException(message=str(error), stack_trace=traceback.format_exc())
                response.result = protos.StatusResult(status=protos.StatusResult.Failure, exception=problem)
        return response

    def _request(self, data: protos.TypedData) -> protos.Message:
        return protos.Message(
            invocation_id=self.id,
            function_id=self.function.id,
            input_data=[protos.ParameterBinding(name=self.function.trigger["name"], data=data)],
            trigger_metadata={},
            trace_context=protos.trace_context(),
            retry_context=protos.retry_context(),
        )

    @contextlib.contextmanager
    def forwarding(self) -> Generator[None]:
        """Holds the invocation open while its HTTP request is forwarded."""
        self._halves += 1
        try:
            yield
        finally:
            self._leave()
            if self._answer and not self._answer.done():
                asyncio.get_running_loop().call_later(UNPAIRED_GRACE, self._give_up_unpaired)

    def _give_up_unpaired(self) -> None:
        # The worker waits for ever for a request that was never forwarded; a handler that runs is left alone.
        if self._answer and not self._answer.done() and not _request_arrived(self.id):
            self._answer.cancel()

    def _leave(self) -> None:
        self._halves -= 1
        if not self._halves:
            self._closed(self)
            if self._answer:
                _log_executed(self.function, self.id, monotonic() - self._started, self._answer)


def _request_arrived(invocation_id: str) -> bool:
    references: dict[str, Any] = http_coordinator._context_references  # pyright: ignore[reportPrivateUsage]
    reference = references.get(invocation_id)
    return reference is None or reference.http_request_available_event.is_set()


def _log_executed(function: Function, invocation_id: str, seconds: float, answer: asyncio.Task[Any]) -> None:
    line = f"Executed 'Functions.{function.name}' (%s, Id={invocation_id}, Duration={seconds * 1000:.0f}ms)"
    if answer.cancelled():
        log.info(line, "Cancelled")
    elif answer.result().result.status == protos.StatusResult.Success:
        log.info(line, "Succeeded")
    else:
        problem = answer.result().result.exception
        # The worker's HTTP server logs the stack of an HTTP function itself.
        log.error(line + " %s", "Failed", problem.message if function.is_http else "\n" + problem.stack_trace)


class Worker:
    """A started app."""

    def __init__(self, functions: tuple[Function, ...], http_uri: str | None) -> None:
        self.functions = functions
        self.http_uri = http_uri
        self._open: set[Invocation] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def open_invocations(self) -> int:
        return len(self._open)

    def open(self, function: Function) -> Invocation:
        """A new invocation, counted as open until it ends."""
        invocation = Invocation(function, self._close)
        self._open.add(invocation)
        self._idle.clear()
        return invocation

    def _close(self, invocation: Invocation) -> None:
        self._open.discard(invocation)
        if not self._open:
            self._idle.set()

    async def until_idle(self) -> None:
        """Returns when no invocation is open."""
        await self._idle.wait()

    async def invoke(self, function: Function, data: protos.TypedData) -> Any:
        """Run a function that is not HTTP. Its failure is logged and in the response's `result`. When the caller is
        cancelled, the run goes on."""
        return await asyncio.shield(self.open(function).begin(data))


async def start_worker(app: Path) -> Worker:
    """Load the app in the folder `app` and serve its HTTP functions. WorkerError when it cannot be loaded."""
    if not (app / "function_app.py").exists():
        raise WorkerError(f"there is no function_app.py in {app}")
    os.chdir(app)
    sys.path.insert(0, str(app))
    runtime.start_threadpool_executor()
    request = protos.Message(capabilities={}, function_app_directory=str(app))
    started = _checked(await _ask(runtime.worker_init_request, worker_init_request=request))
    functions = await _load_functions()
    http_uri: str | None = started.capabilities.get("HttpUri")
    if http_uri:
        await _until_reachable(http_uri)
    elif any(each.is_http for each in functions):
        raise WorkerError(
            "HTTP functions need `from azurefunctions.extensions.http.fastapi import Request`; "
            "this host has no other way to call them"
        )
    return Worker(functions, http_uri)


async def _load_functions() -> tuple[Function, ...]:
    indexed = _checked(await _ask(runtime.functions_metadata_request)).function_metadata_results or ()
    for each in indexed:
        load = protos.Message(function_id=each.function_id)
        _checked(await _ask(runtime.function_load_request, function_load_request=load))
    return tuple(read_function(each.name, each.function_id, each.raw_bindings) for each in indexed)


async def _ask(handle: Callable[[protos.Message], Awaitable[Any]], **request: protos.Message) -> Any:
    message = protos.Message(
        name=handle.__name__,
        request=protos.Message(**request),
        properties={"protos": protos, "host": HOST},
    )
    return await handle(message)


def _checked(response: Any) -> Any:
    if response.result.status != protos.StatusResult.Success:
        problem = response.result.exception
        raise WorkerError(problem.stack_trace or problem.message)
    return response


async def _until_reachable(uri: str) -> None:
    port = urlsplit(uri).port
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
