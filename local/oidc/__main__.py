"""`python -m local.oidc`: runs the issuer until SIGINT or SIGTERM."""

import argparse
import asyncio
import signal

from local.oidc.server import AUDIENCE, serve


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m local.oidc",
        description="A small OpenID Connect issuer: POST /token?user=ann&roles=admin gives a token to whoever asks.",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8090, help="0 picks a free one (default: 8090)")
    parser.add_argument("--audience", default=AUDIENCE, help=f"whom the tokens are for (default: {AUDIENCE})")
    return parser.parse_args()


async def run(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stop.set)
    async with serve(given.host, given.port, audience=given.audience) as issuer:
        print(f"ready {issuer.url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments()))
