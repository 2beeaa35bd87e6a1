"""Secrets that can be recognised wherever they turn up, and the look for them in all that is logged, printed, answered.

Every secret that a test configures is a `canary(...)`. `look` is shown all output of the whole run: what the tests log
and print by `tests/conftest.py`, what processes print by `processes.py`, what the app answers by the clients. What it
finds fails the test that runs.
"""

import base64
import logging
import re
import secrets

from tests.support.azurite import KEY as AZURITE_KEY

MARK = "canary-of-parley-"
_RANDOM = secrets.token_hex(16)


def canary(name: str) -> str:
    """A secret with this name: the same one in the whole process, without a character that would be escaped."""
    return f"{MARK}{name}-{_RANDOM}"


def _encoded(text: str) -> set[str]:
    """The letters that stand for a text within Base64, wherever it begins."""
    shifted = (base64.b64encode(bytes(shift) + text.encode()).decode() for shift in range(3))
    return {each[4 if shift else 0 : -4] for shift, each in enumerate(shifted)}


CANARY = re.compile("|".join(map(re.escape, [MARK[:10], AZURITE_KEY, *_encoded(MARK)])))
"""Wherever it is: also the half of one."""

CREDENTIAL = re.compile(
    r"(?<![\w-])(?:code|sig|token|access_token|ticket)=(?!REDACTED|\*\*\*)[\w%+/.~-]{6,}"
    r"|(?:AccountKey|AccessKey|SharedAccessSignature)=[\w+/%=-]"
    r"|\bSharedKey \w+:"
    r"|\bBearer (?!\*\*\*)[\w.~+/-]{6,}"
    r"|\beyJ[\w-]{6,}\.eyJ[\w-]{6,}"
)
"""What is one by its form: keys and tickets in addresses, connection strings, headers, tokens. For logs: replies hand
some of these out."""

_found: list[str] = []


def look(text: str | bytes, *, where: str, logged: bool = False) -> None:
    """Note what `text` must not hold. `logged` says that it is no reply."""
    text = text if isinstance(text, str) else text.decode("utf-8", "replace")
    for pattern in (CANARY, CREDENTIAL) if logged else (CANARY,):
        for found in pattern.finditer(text):
            around = text[max(0, found.start() - 300) : found.end() + 60]
            _found.append(f"{where} shows {found[0][:40]!r}: ...{around}")


OF_CLIENTS = ("aiohttp.access", "azure.messaging.webpubsubclient")
"""Loggers of servers and clients that tests make; the app has none of these."""


def found() -> list[str]:
    """What was found since the last call."""
    taken = _found.copy()
    _found.clear()
    return taken


class Watch(logging.Handler):
    """Looks at every log record of this process as a formatter would show it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter())

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(OF_CLIENTS):
            look(self.format(record), where=f"the log {record.name}", logged=True)
