"""Structured log lines: a name and fields, as one line of text, which every log collector can read.

Ids, counts and times only. What users and models say is logged by no caller of this module.
"""

import json
import logging
import time
from collections.abc import Callable

SELDOM = 60.0  # seconds between two warnings of one kind

logger = logging.getLogger("chat")


def record(name: str, **fields: object) -> None:
    """Log that something happened, for example `turn_ended {"turn_id": "...", "state": "finished"}`."""
    logger.info("%s %s", name, json.dumps(fields, default=str))


def record_warning(name: str, **fields: object) -> None:
    """Log what somebody should look at."""
    logger.warning("%s %s", name, json.dumps(fields, default=str))


def record_error(name: str, error: BaseException, **fields: object) -> None:
    """Log what went wrong, with its stack."""
    logger.error("%s %s", name, json.dumps(fields, default=str), exc_info=error)


class Seldom:
    """For what would be logged with every request while something is away: the first of a kind counts at once, then
    one a minute."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._said: dict[str, float] = {}  # by kind, of which the callers have few
        self._unsaid: dict[str, int] = {}

    def due(self, kind: str) -> int | None:
        """How many of this kind were kept back since the last one that was not; None to keep this one back."""
        now = self._monotonic()
        if now - self._said.get(kind, now - SELDOM) < SELDOM:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return None
        self._said[kind] = now
        return self._unsaid.pop(kind, 0)
