"""The services of the local stack: what is started, in which order, and how all of it is stopped."""

import asyncio
import contextlib
import fcntl
import os
import re
import secrets
import socket
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from local.azurite import LARGE, Azurite, check_azurite, start_azurite, too_large
from local.functions_host.keys import HOST_KEY_SETTING, MASTER_KEY_SETTING
from local.oidc.start import start_issuer
from local.processes import Child, ChildDied, start_child
from local.pubsub_service.options import HANDLER_SETTING, KEY_SETTING
from local.settings import read_local_settings

HOST = "127.0.0.1"
LOOPBACK = (HOST, "localhost")
# The whole stop takes less than 5 s: the hosts first, since they still write to the storage.
HOSTS_STOP, SERVICES_STOP = 4.3, 0.5
# Where the app takes the events of sockets, by the setting CHAT_WEBPUBSUB_EVENTS.
EVENT_PATHS = {"trigger": "/runtime/webhooks/webpubsub", "http": "/api/webpubsub/events"}
# The stand-in for the models, as settings files name it (`func start` finds it there), and where each provider asks it.
# Here it has another port.
STAND_IN = "http://127.0.0.1:8089"
SERVED = {"AZURE": "/openai/v1", "LOCAL": "/v1", "OPENROUTER": "/api/v1"}
# What a host prints about itself that belongs in the table: `function NAME: METHODS URL`, `worker URL`, ...
_ANNOUNCED = re.compile(r"(function|worker|key|ready) (.*)")


class PortTaken(Exception):
    """The port that was asked for is in use; the text says it in one sentence."""


class FolderTaken(Exception):
    """Another stack keeps its storage in the folder; the text says it in one sentence."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """The flags of `python -m local`. `data` None keeps everything in memory; `model_url` "" starts the stand-in."""

    app: Path
    port: int
    instances: int = 1
    data: Path | None = None
    model_url: str = ""
    model_key: str = ""
    host_flags: tuple[str, ...] = ()
    cors: str = ""  # origins of web pages, with commas between
    auth: str = ""  # what CHAT_AUTH is to be; "" leaves it as it is set
    verbose: bool = False


@dataclass(slots=True)
class Stack:
    """The running processes. `stop` is safe at any moment, also half way through `start`."""

    options: StackOptions
    services: list[Child] = field(default_factory=list[Child])
    hosts: list[Child] = field(default_factory=list[Child])
    rows: list[str] = field(default_factory=list[str])
    urls: list[str] = field(default_factory=list[str])
    lock: TextIO | None = None  # held for as long as this process lives

    async def start(self) -> None:
        """Start everything. ChildDied when something ends instead of getting ready, PortTaken for a busy port,
        FolderTaken for a folder that another stack uses."""
        if self.options.data:
            self.options.data.mkdir(parents=True, exist_ok=True)
            self.lock = lock_folder(self.options.data)
        check_azurite(self.options.data)
        listeners = bind_run(self.options.port, self.options.instances)
        with contextlib.ExitStack() as bound:
            for each in listeners:
                bound.enter_context(each)
            keys = {name: secrets.token_urlsafe(32) for name in (HOST_KEY_SETTING, MASTER_KEY_SETTING)}
            azurite, model_url, sockets, signing_in = await asyncio.gather(
                self._start_azurite(),
                self._start_model(),
                self._start_sockets(listeners, keys[HOST_KEY_SETTING]),
                self._start_issuer(),
            )
            origins = page_origins((each.getsockname()[1] for each in listeners), self.options.cors)
            environment = self._environment(azurite, model_url, sockets, origins) | signing_in | keys
            announced = await asyncio.gather(*(self._start_host(each, environment) for each in listeners))
        for child, rows in announced:
            self._add_host(child, rows)
        self.rows += [f"{name:<10} {value}" for name, value in announced[0][1] if name in {"function", "key"}]

    async def _start_azurite(self) -> Azurite:
        folder, usual = self.options.data, self.options.port != 0
        azurite = await start_azurite(
            folder, usual_ports=usual, shown=self.options.verbose, started=self.services
        )
        for name, url in azurite.urls.items():
            self._add_row(name, url, azurite.child)
        return azurite

    async def _start_model(self) -> str:
        if self.options.model_url:
            self.rows.append(f"{'model':<10} {self.options.model_url}")
            return self.options.model_url
        command = [sys.executable, "-m", "local.model_server", "--port", "0"]
        child = await start_child("model", command, shown=self.options.verbose)
        self.services.append(child)
        lines = await child.lines_until(_is_ready)
        url = lines[-1].removeprefix("ready ") + SERVED["AZURE"]
        self._add_row("model", url, child)
        return url

    async def _start_sockets(self, hosts: list[socket.socket], key: str) -> str:
        """Web PubSub's stand-in, which sends its events to the hosts in turn, unless the settings name a service. The
        connection string."""
        own = self._setting("WebPubSubConnectionString", "")
        if own:
            self.rows.append(f"{'sockets':<10} as WebPubSubConnectionString says")
            return own
        path = EVENT_PATHS.get(self._setting("CHAT_WEBPUBSUB_EVENTS", "trigger"), "")
        urls = " ".join(f"http://{HOST}:{each.getsockname()[1]}{path}?code={key}" for each in hosts)
        hub = self._setting("WebPubSubHub", "chat")
        command = [sys.executable, "-m", "local.pubsub_service", "--port", "0", "--anonymous", hub]
        secret = os.environ.get(KEY_SETTING) or secrets.token_urlsafe(32)
        environment = {HANDLER_SETTING: f"{hub}={urls}", KEY_SETTING: secret}
        child = await start_child("sockets", command, shown=self.options.verbose, environment=environment)
        self.services.append(child)
        lines = await child.lines_until(_is_ready)
        self._add_row("sockets", lines[-1].removeprefix("ready "), child)
        return next(line.removeprefix("connection ") for line in lines if line.startswith("connection "))

    async def _start_issuer(self) -> dict[str, str]:
        """Who hands out tokens, where callers sign in with these. Settings."""
        child, settings, rows = await start_issuer(
            self.options.auth, self._setting, shown=self.options.verbose
        )
        self.services += [child] if child else []
        self.rows += rows
        return settings

    def _setting(self, name: str, default: str) -> str:
        """As the app will see it."""
        return os.environ.get(name) or read_local_settings(self.options.app).values.get(name) or default

    def _environment(self, azurite: Azurite, model_url: str, sockets: str, origins: str) -> dict[str, str]:
        return {
            "AzureWebJobsStorage": azurite.connection_string,
            **self._models(model_url),
            "AZURE_AI_KEY": self.options.model_key or "local",
            "WebPubSubConnectionString": sockets,
            "CHAT_SOCKET_DIRECT": self._setting("CHAT_SOCKET_DIRECT", "true"),
            "CHAT_SOCKET_ORIGINS": self._setting("CHAT_SOCKET_ORIGINS", origins),
            "PYTHONUNBUFFERED": "1",
        }

    def _models(self, azure: str) -> dict[str, str]:
        """Where AZURE is, and whoever else the settings have at the stand-in. Where a real model takes its place these
        are left out."""
        others = [
            name for name in SERVED if self._setting(f"{name}_AI_ENDPOINT", "").startswith(f"{STAND_IN}/")
        ]
        models = {"AZURE_AI_ENDPOINT": azure}
        if self.options.model_url:
            named = self._setting("CHAT_PROVIDERS", "").split(",")
            left = [name for name in named if name.strip() == "AZURE" or name.strip() not in others]
            return models | {"CHAT_PROVIDERS": ",".join(left)}
        base = azure.removesuffix(SERVED["AZURE"])
        return {f"{name}_AI_ENDPOINT": base + SERVED[name] for name in others} | models

    async def _start_host(
        self, listener: socket.socket, environment: dict[str, str]
    ) -> tuple[Child, list[tuple[str, str]]]:
        command = [sys.executable, "-m", "local.functions_host", "--app", str(self.options.app)]
        command += ["--fd", str(listener.fileno()), "--gateway", *self.options.host_flags]
        child = await start_child(
            f"functions host {listener.getsockname()[1]}",
            command,
            environment=environment,
            pass_fds=(listener.fileno(),),
        )
        # The child has it; as long as we held it, connections to a dead host would hang instead of fail.
        listener.close()
        self.hosts.append(child)
        lines = await child.lines_until(_is_ready)
        child.shown = True
        return child, list(_announcements(lines))

    def _add_host(self, child: Child, announced: list[tuple[str, str]]) -> None:
        facts = dict(announced)
        self.urls.append(facts["ready"])
        self._add_row("functions", facts["ready"], child)
        self.rows.append(f"{'websocket':<10} ws{facts['ready'].removeprefix('http')}/ws")
        if "worker" in facts:
            self._add_row("worker", facts["worker"], child)

    def _add_row(self, name: str, value: str, child: Child) -> None:
        self.rows.append(f"{name:<10} {value}  pid {child.pid}")

    async def watch(self) -> None:
        """Returns never; ChildDied when a service or the last host ended. Other dead hosts are reported."""
        waiting = {each.exited: each for each in self.services + self.hosts}
        while True:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                child = waiting.pop(each)
                if child in self.services or not any(host in waiting.values() for host in self.hosts):
                    raise ChildDied(self._report(child))
                print(child.report(), file=sys.stderr, flush=True)

    def _report(self, child: Child) -> str:
        large = too_large(self.options.data, LARGE) if child.name == "azurite" and self.options.data else ""
        return f"{child.report()}\n{large}".rstrip()

    async def stop(self) -> None:
        """End every process: the hosts, then the services."""
        await _stop_all(self.hosts, HOSTS_STOP)
        await _stop_all(self.services, SERVICES_STOP)


async def _stop_all(children: Iterable[Child], timeout: float) -> None:
    await asyncio.gather(*(each.stop(timeout) for each in children))


def _is_ready(line: str) -> bool:
    return line.startswith("ready http")


def _announcements(lines: list[str]) -> Iterator[tuple[str, str]]:
    """What a host says about itself. Anything else that it printed while it started is the app's: shown as it is."""
    for line in lines:
        found = _ANNOUNCED.fullmatch(line)
        if found:
            yield found[1], found[2]
        else:
            print(line, file=sys.stderr)


def page_origins(ports: Iterable[int], cors: str) -> str:
    """The origins of the web pages that may open a socket: those of the hosts themselves, and those that may read
    answers over HTTP; where these are all (`*`), every page of this machine."""
    named = [each.strip() for each in cors.split(",")]
    own = [*map(str, ports), *(each for each in named if each == "*")]
    pages = [f"http://{name}:{port}" for port in own for name in LOOPBACK]
    return ",".join([*pages, *(each for each in named if "://" in each)])


def lock_folder(folder: Path) -> TextIO:
    """Keep other stacks out of the folder: two Azurites over the same files lose what the other wrote."""
    lock = (folder / "in-use").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise FolderTaken(
            f"Another stack keeps its storage in {folder}: stop it, or choose another folder with --data."
        ) from None
    return lock


def bind_run(first: int, count: int) -> list[socket.socket]:
    """Sockets bound to consecutive ports from `first` on; 0 finds a free run. PortTaken when one is in use.

    Bound but not listening: until its host is up, a connection is refused.
    """
    for _ in range(100):
        sockets: list[socket.socket] = []
        try:
            for offset in range(count):
                start = sockets[0].getsockname()[1] if sockets else first
                sockets.append(_bind(start + offset))
        except (OSError, OverflowError) as error:
            for each in sockets:
                each.close()
            if first:
                raise PortTaken(
                    f"Port {first + len(sockets)} is already in use; choose another with --port."
                ) from error
        else:
            return sockets
    raise PortTaken(f"There is no run of {count} free ports.")


def _bind(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
    except BaseException:
        listener.close()
        raise
    return listener
