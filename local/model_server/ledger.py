"""What the stand-in was asked and how it ended, for tests to look at."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from aiohttp import web

KEPT = 200
SHOWN_HEADERS = ("content-type", "accept", "user-agent", "extra-parameters", "x-ms-client-request-id")
KEYS = ("api-key", "authorization")


@dataclass(slots=True)
class Connections:
    """Chat completions: those being answered, those that the client left, those that ended here."""

    open: int = 0
    closed_by_client: int = 0
    finished: int = 0
    total: int = 0


@dataclass(slots=True)
class Ledger:
    """The last requests, and counts of all."""

    connections: Connections = field(default_factory=Connections)
    _requests: deque[tuple[dict[str, Any], bytes]] = field(default_factory=lambda: deque(maxlen=KEPT))
    _seen: dict[str, int] = field(default_factory=dict[str, int])

    def note(self, request: web.Request, raw: bytes) -> None:
        headers = {name: request.headers[name] for name in SHOWN_HEADERS if name in request.headers}
        headers |= {name: "***" + request.headers[name][-4:] for name in KEYS if name in request.headers}
        facts = {"path": request.path, "query": dict(request.query), "headers": headers}
        self._requests.append((facts, raw))

    def count(self, text: str) -> int:
        """How often this text was asked, this time included."""
        self._seen[text] = self._seen.pop(text, 0) + 1
        if len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return self._seen[text]

    def last(self, number: int) -> list[dict[str, Any]]:
        """The newest `number` requests, oldest first."""
        kept = list(self._requests)[-number:] if number > 0 else []
        return [{**facts, "body": _json_or_text(raw)} for facts, raw in kept]

    def opened(self) -> None:
        self.connections.open += 1
        self.connections.total += 1

    def ended(self, *, by_client: bool) -> None:
        self.connections.open -= 1
        if by_client:
            self.connections.closed_by_client += 1
        else:
            self.connections.finished += 1

    def counts(self) -> dict[str, int]:
        return asdict(self.connections)

    def reset(self) -> None:
        """Forget all but the requests that are still being answered."""
        still_open = self.connections.open
        self._requests.clear()
        self._seen.clear()
        self.connections = Connections(open=still_open, total=still_open)


def _json_or_text(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return raw.decode(errors="replace")
