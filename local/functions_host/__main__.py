"""`python -m local.functions_host`: one functions host over the app in a folder."""

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn.config

from local.functions_host.cors import read_cors
from local.functions_host.keys import new_keys
from local.functions_host.server import HostOptions, run_host
from local.functions_host.worker import HOST, Worker, WorkerError
from local.gateway import hub_url
from local.queries import Formatter
from local.settings import (
    LocalSettings,
    SettingsFileError,
    become_laptop,
    host_environment,
    read_local_settings,
    read_route_prefix,
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m local.functions_host",
        description="Run a function app through Microsoft's own Python worker library.",
    )
    parser.add_argument("--app", type=Path, default=Path(), metavar="DIR", help="folder with function_app.py")
    parser.add_argument("--port", type=int, help="port to listen on; 0 picks one (default: 7071)")
    parser.add_argument("--fd", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--enable-auth", action="store_true", help="ask for access keys, and print them")
    parser.add_argument(
        "--cors", metavar="ORIGINS", help="origins that may read answers, separated by commas"
    )
    parser.add_argument(
        "--direct", action="store_true", help="answer on the worker's own port too, for benchmarks"
    )
    parser.add_argument(
        "--gateway",
        action="store_true",
        help="take WebSocket handshakes to the hub of WebPubSubConnectionString",
    )
    parser.add_argument("--verbose", action="store_true", help="log every request and every invocation")
    return parser.parse_args(arguments)


def main() -> int:
    """Run until a signal. The exit status: 0, or 1 when the app cannot be started."""
    options = parse_arguments()
    app: Path = options.app.resolve()
    try:
        settings = read_local_settings(app)
        listener = _listener(options, settings)
        port: int = listener.getsockname()[1]
        os.environ.update(host_environment(settings.values, os.environ, app, port))
        become_laptop(os.environ)
        _configure_logging(verbose=options.verbose)
        host = _host_options(options, settings, app)
        asyncio.run(run_host(host, listener, _announcer(host, f"http://{HOST}:{port}")))
    except (WorkerError, SettingsFileError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _listener(options: argparse.Namespace, settings: LocalSettings) -> socket.socket:
    if options.fd is not None:
        return socket.socket(fileno=options.fd)
    port = settings.port if options.port is None else options.port
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        raise SettingsFileError(f"cannot listen on port {port}: {error.strerror}") from error
    return listener


def _host_options(options: argparse.Namespace, settings: LocalSettings, app: Path) -> HostOptions:
    origins = settings.cors if options.cors is None else options.cors
    return HostOptions(
        app,
        route_prefix=read_route_prefix(app),
        cors=read_cors(origins, credentials=settings.cors_credentials),
        keys=new_keys() if options.enable_auth else None,
        direct=options.direct,
        hub=hub_url(os.environ) if options.gateway else "",
    )


def _announcer(options: HostOptions, url: str) -> Callable[[Worker], None]:
    """Prints `name value` lines and, last, the line `ready URL`."""

    def announce(worker: Worker) -> None:
        for each in worker.functions:
            if each.is_http:
                methods = ",".join(sorted(each.methods or ["*"]))
                print(f"function {each.name}: {methods} {url}/{each.route(options.route_prefix)}")
            else:
                print(
                    f"function {each.name}: {each.trigger.get('type')} {each.trigger.get('schedule', '')}".rstrip()
                )
        if options.keys:
            print(f"key host {options.keys.host}\nkey master {options.keys.master}")
        if worker.http_uri:
            print(f"worker {worker.http_uri}")
        print(f"ready {url}", flush=True)

    return announce


def _configure_logging(*, verbose: bool) -> None:
    """Everything goes to stderr. Quiet means: what the app logs, and what went wrong."""
    shown = logging.StreamHandler()
    shown.setFormatter(Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[shown], level=logging.INFO)
    # The worker hands this table to uvicorn, and offers no other way to it. Its own handlers would show queries.
    level = "INFO" if verbose else "WARNING"
    uvicorn.config.LOGGING_CONFIG["loggers"] = {
        name: {"level": level, "handlers": [], "propagate": True}
        for name in ("uvicorn", "uvicorn.error", "uvicorn.access")
    }
    if not verbose:
        for name in ("azure", "local.functions_host"):
            logging.getLogger(name).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
