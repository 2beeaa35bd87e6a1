"""The servers whose tools the models are offered, as CHAT_MCP_SERVERS has them.

[{"name": "crm", "url": "https://crm.example.com/mcp", "headers": {"x-api-key": "..."},
  "oauth": {"token_url": "https://sso.example.com/token", "client_id": "...", "client_secret": "...", "scope": "..."},
  "allow": ["find_customer", "delete_customer#1f2e3d4c5b6a7980"], "needs_approval": ["delete_customer"]}]

No error names a value: headers and secrets are among them.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chat.settings.issuers import check_url

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,19}")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
DIGEST = re.compile(r"[0-9a-f]{16}")
MAX_SERVERS = 16


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """Client credentials, and the one place that they are sent to."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str = ""


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of tools, and what may be used of it."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    oauth: OAuthClient | None = None
    allow: Mapping[str, str] | None = None  # the tools that are used, each with its digest or ""; None: all
    needs_approval: frozenset[str] | bool = False  # the tools that do; True: all

    def allows(self, tool: str, digest: str) -> bool:
        """Whether a tool may be used as it is."""
        return self.allow is None or self.allow.get(tool) in ("", digest)

    def asks_for(self, tool: str) -> bool:
        """Whether a call of a tool needs somebody's approval."""
        return self.needs_approval if isinstance(self.needs_approval, bool) else tool in self.needs_approval


def read_mcp_servers(text: str) -> tuple[McpServer, ...]:
    """ValueError with what is wrong, and in which server."""
    try:
        given = json.loads(text) if text else []
    except (ValueError, RecursionError):
        raise ValueError("must be a JSON list") from None
    if not isinstance(given, list) or len(given) > MAX_SERVERS:
        raise ValueError(f"must be a JSON list of at most {MAX_SERVERS} servers")
    servers = [_server(number, each) for number, each in enumerate(given)]
    if len({each.name for each in servers}) < len(servers):
        raise ValueError("two servers have the same name")
    return tuple(servers)


def _server(number: int, given: object) -> McpServer:
    try:
        fields = _object(given, READERS, needed=("name", "url"))
        return McpServer(**fields)
    except ValueError as error:
        raise ValueError(f"server {number}: {error}") from None


def _object(
    given: object, readers: Mapping[str, Callable[[Any], Any]], *, needed: tuple[str, ...]
) -> dict[str, Any]:
    if not isinstance(given, dict) or not set(given) <= set(readers):
        raise ValueError(f"must be an object with some of {', '.join(readers)}")
    read: dict[str, Any] = {}
    for name, reader in readers.items():
        if name in given:
            try:
                read[name] = reader(given[name])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        elif name in needed:
            raise ValueError(f"{name} is missing")
    return read


def _name(given: Any) -> str:
    if not NAME.fullmatch(_line(given)):
        raise ValueError("must be up to 20 lower-case letters, digits and -")
    return given


def _line(given: Any) -> str:
    if not isinstance(given, str) or not given or not given.isprintable():
        raise ValueError("must be one line of printable characters")
    return given


def _url(given: Any) -> str:
    return check_url(_line(given))


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ValueError("must be an object of texts")
    read = {str(name): _line(value) for name, value in given.items()}
    if not all(HEADER.fullmatch(name) and value.isascii() for name, value in read.items()):
        raise ValueError("must be names and values of headers")
    return read


def _oauth(given: Any) -> OAuthClient:
    needed = ("token_url", "client_id", "client_secret")
    readers = {"token_url": _url, "client_id": _line, "client_secret": _line, "scope": _line}
    return OAuthClient(**_object(given, readers, needed=needed))


def _allow(given: Any) -> dict[str, str]:
    """Tools, each with or without `#` and the digest of the one definition that is meant."""
    allowed: dict[str, str] = {}
    for each in _names(given):
        name, mark, digest = (
            each.rpartition("#") if DIGEST.fullmatch(each.rpartition("#")[2]) else (each, "", "")
        )
        allowed[name] = digest if mark else ""
    return allowed


def _approval(given: Any) -> frozenset[str] | bool:
    return given if isinstance(given, bool) else frozenset(_names(given))


def _names(given: Any) -> list[str]:
    if not isinstance(given, list):
        raise ValueError("must be a list of names of tools")
    return [_line(each) for each in given]


READERS: Mapping[str, Callable[[Any], Any]] = {
    "name": _name,
    "url": _url,
    "headers": _headers,
    "oauth": _oauth,
    "allow": _allow,
    "needs_approval": _approval,
}
