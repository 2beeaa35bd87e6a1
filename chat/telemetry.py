"""Structured log lines: a name and fields, as one line of text, which every log collector can read.

Ids, counts and times only. What users and models say is logged by no caller of this module.
"""

import json
import logging

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
