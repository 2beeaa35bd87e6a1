"""Access keys. As in `func start`, everything is allowed unless the host was started with --enable-auth."""

import hmac
import os
import secrets
from dataclasses import dataclass

from aiohttp import web

HOST_KEY_SETTING = "LOCAL_HOST_KEY"
MASTER_KEY_SETTING = "LOCAL_MASTER_KEY"


@dataclass(frozen=True, slots=True)
class Keys:
    """The host key (opens every function) and the master key (opens everything)."""

    host: str
    master: str

    def allows(self, request: web.BaseRequest, level: str) -> bool:
        """Whether the request may call a function, or an endpoint, of that level."""
        if level == "anonymous":
            return True
        given = request.headers.get("x-functions-key") or request.rel_url.query.get("code") or ""
        accepted = (self.master,) if level == "admin" else (self.host, self.master)
        return any(hmac.compare_digest(given.encode(), key.encode()) for key in accepted)


def new_keys() -> Keys:
    """The keys of this host: those of the environment, so that instances can share them, or new ones."""
    return Keys(
        os.environ.get(HOST_KEY_SETTING) or secrets.token_urlsafe(32),
        os.environ.get(MASTER_KEY_SETTING) or secrets.token_urlsafe(32),
    )
