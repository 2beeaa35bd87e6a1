"""`python -m local.model_server`: runs the stand-in until SIGINT or SIGTERM."""

import argparse
import asyncio
import signal

from local.model_server.directives import describe
from local.model_server.server import serve


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.model_server",
        description="A stand-in for an Azure AI model-router deployment.",
        epilog="Directives in the last user message:\n" + describe().replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8089, help="0 picks a free one (default: 8089)")
    return parser.parse_args()


async def run(host: str, port: int) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with serve(host, port) as url:
        print(f"ready {url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    given = arguments()
    asyncio.run(run(given.host, given.port))
