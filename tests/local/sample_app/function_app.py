"""A small app for the tests of the functions host: one function for each thing that a host must do."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator

import azure.functions as func
from azurefunctions.extensions.http.fastapi import JSONResponse, Request, Response, StreamingResponse

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
closed: list[str] = []
received: list[int] = []
timers: list[dict[str, object]] = []

# Apps do this to flush before they die; the host must stop all the same.
tasks: set[asyncio.Task[None]] = set()
previous = signal.getsignal(signal.SIGTERM)


async def flush() -> None:
    await asyncio.sleep(0.3)
    print("app flushed", flush=True)


def on_sigterm(number: int, frame: object) -> None:
    tasks.add(asyncio.get_running_loop().create_task(flush()))
    if callable(previous):
        previous(number, frame)


signal.signal(signal.SIGTERM, on_sigterm)


@app.route("stream/{count:int}", methods=["POST"])
async def stream(req: Request) -> StreamingResponse:
    """`count` numbered lines, `every` seconds apart."""
    count, every = int(req.path_params["count"]), float(req.query_params.get("every", "0"))
    name = req.query_params.get("name", "")

    async def lines() -> AsyncGenerator[bytes]:
        try:
            for number in range(count):
                yield b"%d\n" % number
                await asyncio.sleep(every)
        finally:
            closed.append(name)

    return StreamingResponse(lines(), media_type="text/plain", headers={"x-sample": "yes"})


@app.route("closed", methods=["GET"])
async def closed_streams(req: Request) -> JSONResponse:
    return JSONResponse(closed)


@app.route("echo/{*rest}")
async def echo(req: Request) -> JSONResponse:
    """What arrived, on any method."""
    body = await req.body()
    return JSONResponse(
        {
            "method": req.method,
            "path": req.url.path,
            "query": req.url.query,
            "params": dict(req.path_params),
            "headers": dict(req.headers),
            "size": len(body),
        }
    )


@app.route("echo/special/{name}", methods=["GET"])
async def special(req: Request) -> JSONResponse:
    return JSONResponse({"special": req.path_params["name"]})


@app.route("optional/{name?}", methods=["GET"])
async def optional(req: Request) -> JSONResponse:
    return JSONResponse(dict(req.path_params))


@app.route("upload", methods=["POST"])
async def upload(req: Request) -> JSONResponse:
    """Notes each piece of the body while it arrives."""
    received.clear()
    async for piece in req.stream():
        received.append(len(piece))
    return JSONResponse(sum(received))


@app.route("received", methods=["GET"])
async def received_pieces(req: Request) -> JSONResponse:
    return JSONResponse(received)


@app.route("fail", methods=["GET"])
async def fail(req: Request) -> Response:
    raise RuntimeError("the sample app fails on purpose")


@app.route("tear", methods=["GET"])
async def tear(req: Request) -> StreamingResponse:
    """Breaks off after the first piece."""

    async def pieces() -> AsyncGenerator[bytes]:
        yield b"one\n"
        raise RuntimeError("torn on purpose")

    return StreamingResponse(pieces())


@app.route("slow", methods=["GET"])
async def slow(req: Request) -> Response:
    """Not a stream: it goes on when its client leaves."""
    await asyncio.sleep(0.4)
    closed.append("slow")
    return Response(status_code=204)


@app.route("private", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
async def private(req: Request) -> Response:
    return Response("secret")


@app.route("environment/{name}", methods=["GET"])
async def environment(req: Request) -> JSONResponse:
    return JSONResponse(os.environ.get(req.path_params["name"]))


@app.route("timers", methods=["GET"])
async def timer_runs(req: Request) -> JSONResponse:
    return JSONResponse(timers)


def note(name: str, timer: func.TimerRequest) -> None:
    timers.append(
        {"name": name, "past_due": timer.past_due, "status": json.loads(json.dumps(timer.schedule_status))}
    )


@app.timer_trigger("timer", schedule="0 0 0 1 1 *", run_on_startup=True)
async def at_start(timer: func.TimerRequest) -> None:
    note("at_start", timer)


@app.timer_trigger("timer", schedule="* * * * * *")
async def every_second(timer: func.TimerRequest) -> None:
    note("every_second", timer)


@app.timer_trigger("timer", schedule="0 0 0 1 1 *")
async def by_hand(timer: func.TimerRequest) -> None:
    note("by_hand", timer)


events: list[dict[str, object]] = []


@app.generic_trigger(
    arg_name="request", type="webPubSubTrigger", hub="chat", eventType="system", eventName="connect"
)
async def on_connect(request: str) -> dict[str, object]:
    """Lets everyone in but those who ask not to be."""
    asked = json.loads(request)
    events.append(asked)
    if asked["query"].get("refuse"):
        return {"code": "unauthorized", "errorMessage": "not you"}
    return {"userId": "ann", "groups": ["room"], "states": {"color": "red"}}


@app.generic_trigger(
    arg_name="request", type="webPubSubTrigger", hub="chat", eventType="system", eventName="connected"
)
async def on_connected(request: str) -> None:
    events.append(json.loads(request))


@app.generic_trigger(
    arg_name="request", type="webPubSubTrigger", hub="chat", eventType="user", eventName="message"
)
async def on_message(request: str) -> dict[str, object] | None:
    """Answers as the text of the event says."""
    said = json.loads(request)
    events.append(said)
    match said["data"]:
        case "raise":
            raise ValueError("on purpose")
        case "silence":
            return None
        case "buffer":
            return {"data": {"type": "Buffer", "data": [1, 2, 255]}, "dataType": "binary"}
        case "number":
            return {"data": 7}
        case text:
            return {"data": text.upper(), "dataType": "json" if said["dataType"] == "Json" else "text"}


@app.generic_trigger(
    arg_name="request", type="webPubSubTrigger", hub="chat", eventType="user", eventName="act"
)
@app.generic_output_binding(arg_name="actions", type="webPubSub", hub="chat")
async def on_act(request: str, actions: func.Out[str]) -> dict[str, object]:
    """Sets what it was sent as its actions."""
    actions.set(json.loads(request)["data"])
    return {"data": "done"}


@app.generic_trigger(
    arg_name="wrong", type="webPubSubTrigger", hub="chat", eventType="user", eventName="wrong"
)
async def on_wrong(wrong: str) -> dict[str, object]:
    """The extension knows no value of that name."""
    return {"data": f"{wrong}"}


@app.generic_trigger(
    arg_name="request", type="webPubSubTrigger", hub="chat", eventType="user", eventName="words"
)
async def on_words(request: str) -> str:
    """A text is no reply."""
    return json.dumps({"data": "lost"})


@app.generic_trigger(arg_name="data", type="webPubSubTrigger", hub="chat", eventType="user", eventName="raw")
async def on_raw(data: bytes) -> dict[str, object]:
    return {"data": f"{type(data).__name__} {len(data)}"}


@app.route("events", methods=["GET"])
async def seen_events(req: Request) -> JSONResponse:
    return JSONResponse(events)
