"""`python -m local`: the whole stack on this machine. Flags in `--help`, what it imitates in README.md."""

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

from local.processes import ChildDied
from local.settings import SettingsFileError, read_local_settings
from local.stack import FolderTaken, PortTaken, Stack, StackOptions

DESCRIPTION = """\
Runs the app with everything it needs: storage (Azurite), a model and Web PubSub (stand-ins) and the Azure Functions
host, each on a loopback port. Prints a table of URLs, then `ready URL`. Ctrl-C or SIGTERM stops all of it."""
EPILOG = """\
Settings come from local.settings.json (or its .example) as with `func start`: variables of the environment win over the
file. The stack itself sets AzureWebJobsStorage, AZURE_AI_ENDPOINT and AZURE_AI_KEY (use --model for another model),
LOCAL_AI_ENDPOINT and OPENROUTER_AI_ENDPOINT where they name the stand-in's usual port (8089), and
WebPubSubConnectionString, CHAT_SOCKET_DIRECT and CHAT_SOCKET_ORIGINS unless they are set. With --auth jwt it sets
CHAT_AUTH, and CHAT_JWT_ISSUER and CHAT_JWT_AUDIENCE unless they are."""


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=_port, help="port of the functions host; 0 picks free ports for all (default: 7071)")
    add(
        "--instances", type=_count, default=1, metavar="N", help="run N functions hosts, on consecutive ports"
    )
    add(
        "--data",
        type=Path,
        default=Path(".local"),
        metavar="DIR",
        help="where storage is kept (default: .local)",
    )
    add("--memory", action="store_true", help="keep storage in memory, for tests")
    add("--model", default="", metavar="URL", help="an OpenAI-compatible endpoint instead of the stand-in")
    add("--model-key", default="", metavar="KEY", help="its key (default: AZURE_AI_KEY of the environment)")
    add(
        "--app",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder with function_app.py (default: this one)",
    )
    add(
        "--cors",
        metavar="ORIGINS",
        help="origins that may read answers (default: Host.CORS of the settings file)",
    )
    add(
        "--auth",
        default="",
        metavar="WAYS",
        help="who may ask, as CHAT_AUTH says it; with jwt an issuer is started that hands out tokens for any name",
    )
    add("--enable-auth", action="store_true", help="ask for access keys as in Azure, and print them")
    add("--direct", action="store_true", help="let the worker's own port answer too, for benchmarks")
    add(
        "--verbose",
        action="store_true",
        help="show what every process prints, every request, every invocation",
    )
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return port


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError("at least one instance is needed")
    return int(text)


def read_options(given: argparse.Namespace) -> StackOptions:
    """What the flags mean, with the settings file's port when no port is given."""
    app: Path = given.app.resolve()
    settings = read_local_settings(app)
    flags = [
        f"--{name.replace('_', '-')}" for name in ("enable_auth", "direct", "verbose") if getattr(given, name)
    ]
    if given.cors is not None:
        flags += ["--cors", given.cors]
    return StackOptions(
        app=app,
        port=settings.port if given.port is None else given.port,
        instances=given.instances,
        data=None if given.memory else given.data.resolve(),
        model_url=given.model.rstrip("/"),
        model_key=given.model_key or (os.environ.get("AZURE_AI_KEY", "") if given.model else ""),
        host_flags=tuple(flags),
        cors=settings.cors if given.cors is None else given.cors,
        auth=given.auth,
        verbose=given.verbose,
    )


async def run(options: StackOptions) -> int:
    """Run the stack until SIGINT, SIGTERM, or the death of something it needs. The exit status: 0 or 1."""
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    stack = Stack(options)
    work = asyncio.create_task(_serve(stack))
    waiting = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            await work
    except (ChildDied, FolderTaken, PortTaken) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        work.cancel()
        await asyncio.wait({work})
        await stack.stop()
    return 0


async def _serve(stack: Stack) -> None:
    await stack.start()
    print("\n".join([*stack.rows, f"ready {stack.urls[0]}"]), flush=True)
    await stack.watch()


def main() -> int:
    """The command."""
    try:
        return asyncio.run(run(read_options(parse_arguments())))
    except SettingsFileError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
