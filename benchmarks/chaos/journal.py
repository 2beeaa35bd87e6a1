"""What happened in a run, as JSON lines: the driver writes them, the oracle judges by them and by nothing else.

Every record has `at` (wall clock, seconds) and `kind`, and the facts that the table says.
"""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

type Record = Mapping[str, Any]

KINDS = {
    "order": "a message is about to be sent: session, user, marker, way (turn or post), text, end, code, said, exact",
    "acked": "a message was acknowledged: session, user, marker, message ('' when unknown), by",
    "refused": "it was refused: session, user, marker, status, code",
    "unanswered": "nothing came back: session, user, marker, why",
    "segment": "one HTTP reply that was read: see streams.py",
    "anew": "an answer is asked for once more: session, message (the question, or an answer to it)",
    "cancel": "a stop was accepted: session, turn ('' is the one that a message interrupted), began, until, by, status",
    "removed": "a member was taken out: session, user, began (of the request)",
    "admitted": "a member was let in again: session, user",
    "opened": "a socket is open and the app has answered on it: socket, session, user, dialect, protocol",
    "closed": "it is closed: socket, session, code, by (us, cut, service, end)",
    "frame": "a frame on a socket: socket, session, user, what, turn, message, snapshot, seq, code, role, text "
    "(of an end, what the socket showed; none where it saw no beginning)",
    "resume": "a socket asked to be shown a turn: socket, turn, after",
    "kill": "an instance was killed: instance, pid, began, until (when it was ready again)",
    "freeze": "a service stood still: who, pid, began, until",
    "memory": "resident memory of the instance that is never killed: kb",
    "over": "nothing new is asked, and no fault made, from here on",
    "session": "how a session stands after settling: session, running_turn, problem",
    "stored": "a message after settling: session, id, role, content, status, parent, began, ended, code",
    "probe": "a last turn in a session: session, turn, status, code, said, ends",
    "end": "all is known",
}


class Journal:
    """Written as it happens, so that a run that dies leaves what it saw."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: TextIO = path.open("w", encoding="utf-8", buffering=1 << 16)
        self.counts: dict[str, int] = {}

    def note(self, kind: str, **facts: Any) -> None:
        assert kind in KINDS, kind
        self.counts[kind] = self.counts.get(kind, 0) + 1
        record = {"at": round(time.time(), 3), "kind": kind, **facts}
        self._file.write(json.dumps(record, ensure_ascii=True) + "\n")

    def close(self) -> None:
        self._file.close()

    def flush(self) -> None:
        self._file.flush()


def read_journal(path: Path) -> Iterator[Record]:
    """The records of a run, one at a time."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)
