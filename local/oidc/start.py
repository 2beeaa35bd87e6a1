"""Starts the issuer for the stack, and says what the app must be told of it."""

import sys
from collections.abc import Callable

from local.oidc.server import AUDIENCE
from local.processes import Child, start_child

ISSUER_SETTING, AUDIENCE_SETTING = "CHAT_JWT_ISSUER", "CHAT_JWT_AUDIENCE"


async def start_issuer(
    ways: str, setting: Callable[[str, str], str], *, shown: bool
) -> tuple[Child | None, dict[str, str], list[str]]:
    """The process, settings for the app, and rows for the table of URLs. `ways` is what CHAT_AUTH is to be, "" for what
    it is; `setting` gives a setting as the app will see it, or a default. Without `jwt`, or with an issuer of one's
    own, nothing is started."""
    settings = {"CHAT_AUTH": ways} if ways else {}
    named = [each.strip() for each in (ways or setting("CHAT_AUTH", "")).split(",")]
    if "jwt" not in named or setting(ISSUER_SETTING, ""):
        return None, settings, []
    audience = setting(AUDIENCE_SETTING, AUDIENCE).partition(",")[0].strip()
    command = [sys.executable, "-m", "local.oidc", "--port", "0", "--audience", audience]
    child = await start_child("issuer", command, shown=shown)
    lines = await child.lines_until(lambda line: line.startswith("ready http"))
    url = lines[-1].removeprefix("ready ")
    settings |= {ISSUER_SETTING: url, AUDIENCE_SETTING: setting(AUDIENCE_SETTING, audience)}
    rows = [
        f"{'issuer':<10} {url}  pid {child.pid}",
        f"{'token':<10} curl -X POST '{url}/token?user=ann&roles=admin'",
    ]
    return child, settings, rows
