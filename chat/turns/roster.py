"""The turns that this process makes. Everything else here asks this list; nobody else keeps one."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from chat.errors import Interrupted, ShuttingDown
from chat.turns.base import TurnWatcher
from chat.turns.lease import Tenant
from chat.turns.running import RunningTurn, Stop


class TurnRoster(Tenant):
    """Which turns run here, and whether more may."""

    def __init__(self, watcher: TurnWatcher) -> None:
        self._watcher = watcher
        self._running: dict[str, RunningTurn] = {}
        self._starting = 0
        self._listeners: list[Callable[[str], None]] = []
        self.unsure: set[str] = set()  # turns that may be stored although their start failed
        self.closed = False

    def __len__(self) -> int:
        return len(self._running)

    def __contains__(self, turn_id: str) -> bool:
        return turn_id in self._running

    def get(self, turn_id: str) -> RunningTurn | None:
        return self._running.get(turn_id)

    @contextmanager
    def starting(self) -> Generator[None]:
        """While one is being started, the lease is needed. ShuttingDown."""
        if self.closed:
            raise ShuttingDown
        self._starting += 1
        try:
            yield
        finally:
            self._starting -= 1

    def add(self, run: RunningTurn) -> None:
        self._running[run.turn.id] = run
        if self.closed:  # while it was being started
            run.stop(Interrupted())

    def remove(self, run: RunningTurn) -> None:
        del self._running[run.turn.id]

    def listen(self, listener: Callable[[str], None]) -> None:
        """Have `listener` told of each session that is free for its next turn. It returns at once."""
        self._listeners.append(listener)

    def freed(self, session_id: str) -> None:
        """The turn of a session ended."""
        if not self.closed:  # else nobody could start the next one
            for listener in self._listeners:
                listener(session_id)

    def close(self) -> None:
        """Take no new turns, and end those that run as interrupted."""
        self.closed = True
        for run in self._running.values():
            run.stop(Interrupted())

    @property
    def busy(self) -> bool:
        return self.making or self._watcher.telling

    @property
    def making(self) -> bool:
        """Whether a turn runs, or is being started."""
        return bool(self._running or self._starting)

    @property
    def turn_ids(self) -> Sequence[str]:
        return (*self._running, *self.unsure)

    def lease_lost(self, instance_id: str) -> None:
        for run in self._running.values():
            if run.turn.instance_id == instance_id:
                run.stop(Stop.LOST)
