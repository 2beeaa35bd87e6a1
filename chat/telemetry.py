"""Structured log lines: a name and fields, as one line of text, which every log collector can read.

Ids, counts and times only. What users and models say is logged by no caller of this module. What an error says is not
ours: so from its text are taken out keys as addresses, headers and connection strings have them.
"""

import json
import logging
import re
import time
import traceback
from collections.abc import Callable

SELDOM = 60.0  # seconds between two warnings of one kind

CREDENTIAL = re.compile(
    r"(?i:\b(code|key|sig|signature|token|ticket|secret|password|accountkey|accesskey)=)[^\s&;,\"')]++"
    r"|(?i:\b(bearer|basic|sharedkey) )[^\s\"',]++"
    r"|(?<=://)[^\s/@\"']{1,512}+@"
)
"""What follows such a name, and what stands before the host in an address."""


def without_secrets(text: str) -> str:
    """The text with `***` in place of each."""
    return CREDENTIAL.sub(lambda found: _kept(found) + "***", text)


def _kept(found: re.Match[str]) -> str:
    """What led to it."""
    return f"{found[1]}=" if found[1] else f"{found[2]} " if found[2] else ""


def _write_stack(record: logging.LogRecord) -> bool:
    """Before any handler does: formatters show what is written there."""
    if record.exc_info and not record.exc_text:
        record.exc_text = without_secrets("".join(traceback.format_exception(record.exc_info[1])).rstrip())
    return True


logger = logging.getLogger("chat")
logger.addFilter(_write_stack)


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
