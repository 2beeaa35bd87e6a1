"""`python -m local.pubsub_service`: runs the stand-in until SIGINT or SIGTERM."""

import argparse
import asyncio
import os
import signal

from local.pubsub_service.options import HANDLER_SETTING, KEY, KEY_SETTING, Handler, Options
from local.pubsub_service.server import serve


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.pubsub_service", description="A stand-in for Azure Web PubSub, in memory."
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=8080, help="0 picks a free one (default: 8080)")
    add(
        "--key",
        default=os.environ.get(KEY_SETTING, KEY),
        help=f"access key (default: {KEY_SETTING}, or the emulator's)",
    )
    add(
        "--handler",
        action="append",
        default=[os.environ[HANDLER_SETTING]] if HANDLER_SETTING in os.environ else [],
        metavar="HUB=URL",
        help="where a hub's events go; {hub} and {event} are filled in, and several URLs (with spaces between) "
        f"are called in turn (default: {HANDLER_SETTING})",
    )
    add(
        "--anonymous",
        action="append",
        default=[],
        metavar="HUB",
        help="a hub whose clients need no token (anonymousConnectPolicy: allow)",
    )
    add(
        "--recovery",
        type=float,
        default=30.0,
        metavar="S",
        help="how long a client that was cut off may come back",
    )
    return parser.parse_args()


def read_options(given: argparse.Namespace) -> Options:
    pairs = [each.partition("=") for each in given.handler]
    return Options(
        key=given.key,
        host=given.host,
        port=given.port,
        handlers={hub: [Handler(url)] for hub, _, url in pairs},
        anonymous=given.anonymous,
        recovery=given.recovery,
    )


async def run(options: Options) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with serve(options) as url:
        print(f"connection {options.connection_string(url)}", flush=True)
        print(f"ready {url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(read_options(arguments())))
