"""`python -m local` for tests: starts it, says where everything is, stops it and checks that nothing is left."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.support.azurite import ACCOUNT, KEY
from tests.support.canaries import canary
from tests.support.processes import ROOT, Command

SOCKET_KEY = canary("sockets")
SECRETS = {
    "PARLEY_PUBSUB_KEY": SOCKET_KEY,
    "LOCAL_AI_KEY": canary("local"),
    "OPENROUTER_AI_KEY": canary("openrouter"),
}
"""Besides the model's, which is a flag."""


class Stack:
    """A running stack over storage in memory. A context manager; `Stack.start(...)` makes one."""

    def __init__(self, command: Command, environment: Mapping[str, str] | None = None) -> None:
        self.command = command
        self.url = command.wait_ready()
        self._environment = dict(environment or {})
        self._added: list[Command] = []

    @classmethod
    def start(
        cls,
        instances: int = 1,
        *,
        env: Mapping[str, str] | None = None,
        app: Path = ROOT,
        model: str = "",
        flags: Iterable[str] = (),
    ) -> "Stack":
        """Run the app in the folder `app`. `model` is the URL of another model than the stand-in."""
        arguments = ["--port", "0", "--memory", "--instances", str(instances), "--app", str(app), *flags]
        arguments += ["--model-key", canary("model")]
        environment = {**SECRETS, **(env or {})}
        command = Command("local", arguments + (["--model", model] if model else []), environment)
        try:
            return cls(command, env)
        except BaseException:
            command.kill()
            raise

    def _rows(self, name: str) -> list[list[str]]:
        return [words for words in self.command.lines if words[:1] == [name]]

    @property
    def urls(self) -> list[str]:
        """The functions hosts, one URL an instance."""
        return [row[1] for row in self._rows("functions")]

    @property
    def worker_urls(self) -> list[str]:
        """The worker's own port of each instance; it answers only with the flag --direct."""
        return [row[1] for row in self._rows("worker")]

    @property
    def pids(self) -> list[int]:
        """The process of each instance."""
        return [int(row[3]) for row in self._rows("functions")]

    @property
    def azurite_pid(self) -> int:
        return int(self._rows("table")[0][3])

    @property
    def table_url(self) -> str:
        return self._rows("table")[0][1]

    @property
    def model_url(self) -> str:
        return self._rows("model")[0][1]

    @property
    def issuer_url(self) -> str:
        """Who hands out tokens, with the flag --auth jwt."""
        return self._rows("issuer")[0][1]

    @property
    def function_key(self) -> str:
        """That of the Functions host, with the flag --enable-auth."""
        return next(row[2] for row in self._rows("key") if row[1] == "host")

    @property
    def socket_url(self) -> str:
        """Web PubSub's stand-in."""
        return self._rows("sockets")[0][1]

    @property
    def socket_service(self) -> str:
        """Its connection string."""
        return f"Endpoint={self.socket_url};AccessKey={SOCKET_KEY};Version=1.0;"

    @property
    def storage(self) -> str:
        """The connection string of its tables."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"TableEndpoint={self.table_url};"
        )

    def add_host(self, env: Mapping[str, str] | None = None) -> Command:
        """One more instance of Parley over the same services, in an environment of its own: another clock, other
        settings. `wait_ready()` gives its URL; it need not live as long as the stack."""
        services = {
            "AzureWebJobsStorage": self.storage,
            "AZURE_AI_ENDPOINT": self.model_url,
            **SECRETS,
            "AZURE_AI_KEY": canary("model"),
            "LOCAL_AI_ENDPOINT": self.model_url.replace("/openai/v1", "/v1"),
            "OPENROUTER_AI_ENDPOINT": self.model_url.replace("/openai/v1", "/api/v1"),
            "WebPubSubConnectionString": self.socket_service,
        }
        flags = ["--app", str(ROOT), "--port", "0"]
        host = Command("local.functions_host", flags, {**self._environment, **services, **(env or {})})
        self._added.append(host)
        return host

    @property
    def errors(self) -> str:
        """What it has written to stderr: the logs of the hosts among it."""
        return self.command.errors

    def stop(self, *, seconds: float = 60) -> None:
        """SIGTERM; everything must be gone in time."""
        with ExitStack() as stopping:  # whatever fails, the others are stopped
            for command in (self.command, *self._added):
                if command.process.poll() is None:
                    stopping.callback(command.stop, seconds=seconds)

    def __enter__(self) -> "Stack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
