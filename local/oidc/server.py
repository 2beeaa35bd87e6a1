"""The issuer as an HTTP server: discovery, keys, and tokens for any name. `serve` runs it."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from local.oidc.keys import ALGORITHM, KeyRing

AUDIENCE = "api://parley"
LIFETIME = 3600  # seconds


@dataclass(slots=True)
class Issuer:
    """What a test holds in its hands. `status` other than 200 and `delay` are how it fails to tell its keys."""

    audience: str = AUDIENCE
    url: str = ""
    keys: KeyRing = field(default_factory=KeyRing)
    status: int = 200
    delay: float = 0.0  # seconds
    asked: Counter[str] = field(default_factory=Counter[str])  # by path

    def claims(
        self, user: str, roles: str = "", *, lifetime: float = LIFETIME, **more: Any
    ) -> dict[str, Any]:
        """What a token for somebody says."""
        now = int(time.time())
        named = [role.strip() for role in roles.split(",") if role.strip()]
        times = {"iat": now, "nbf": now + min(0, int(lifetime)), "exp": now + int(lifetime)}
        return {"iss": self.url, "aud": self.audience, "sub": user, "roles": named, **times, **more}

    def token(self, user: str, roles: str = "", *, lifetime: float = LIFETIME, **more: Any) -> str:
        """A token for somebody."""
        return self.keys.sign(self.claims(user, roles, lifetime=lifetime, **more))


ISSUER = web.AppKey("issuer", Issuer)


def make_app(issuer: Issuer) -> web.Application:
    """The server as an application."""
    app = web.Application()
    app[ISSUER] = issuer
    app.router.add_get("/.well-known/openid-configuration", show_configuration)
    app.router.add_get("/jwks", show_keys)
    app.router.add_post("/token", make_token)
    app.router.add_post("/_oidc/rotate", rotate)
    app.router.add_post("/_oidc/faults", fail)
    return app


@asynccontextmanager
async def serve(
    host: str = "127.0.0.1", port: int = 0, *, audience: str = AUDIENCE
) -> AsyncGenerator[Issuer]:
    """Runs it. Port 0 picks a free one."""
    issuer = Issuer(audience)
    runner = web.AppRunner(make_app(issuer), access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        issuer.url = f"http://{host}:{runner.addresses[0][1]}"
        yield issuer
    finally:
        await runner.cleanup()


async def show_configuration(request: web.Request) -> web.Response:
    """`GET /.well-known/openid-configuration`"""
    issuer = await _asked(request)
    return web.json_response(
        {
            "issuer": issuer.url,
            "jwks_uri": f"{issuer.url}/jwks",
            "token_endpoint": f"{issuer.url}/token",
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
        },
        status=issuer.status,
    )


async def show_keys(request: web.Request) -> web.Response:
    """`GET /jwks`"""
    issuer = await _asked(request)
    return web.json_response(issuer.keys.shown(), status=issuer.status)


async def make_token(request: web.Request) -> web.Response:
    """`POST /token?user=ann&roles=admin&lifetime=60&audience=...&claims={...}`"""
    issuer, asked = request.app[ISSUER], request.query
    if not asked.get("user"):
        return _refusal("name somebody: ?user=ann")
    try:
        more: Any = json.loads(asked.get("claims", "{}"))
        lifetime = float(asked.get("lifetime", str(LIFETIME)))
        if not isinstance(more, dict):
            raise ValueError("claims must be an object")
        if "audience" in asked:
            more["aud"] = asked["audience"]
        claims = issuer.claims(asked["user"], asked.get("roles", ""), lifetime=lifetime)
        token = issuer.keys.sign(claims | more)
    except (ValueError, TypeError, OverflowError) as error:
        return _refusal(str(error))
    return web.json_response(
        {"access_token": token, "token_type": "Bearer", "expires_in": int(lifetime)},
        headers={"cache-control": "no-store", "access-control-allow-origin": "*"},
    )


async def rotate(request: web.Request) -> web.Response:
    """`POST /_oidc/rotate`: sign with a new key; `?drop=true` shows those before it no more."""
    name = request.app[ISSUER].keys.rotate(drop=request.query.get("drop") == "true")
    return web.json_response({"kid": name})


async def fail(request: web.Request) -> web.Response:
    """`POST /_oidc/faults` with `{"status": 500, "delay": 3.0}`: how it answers from now on when asked for its keys."""
    told: Mapping[str, Any] = await request.json()
    issuer = request.app[ISSUER]
    issuer.status, issuer.delay = int(told.get("status", 200)), float(told.get("delay", 0))
    return web.json_response({})


async def _asked(request: web.Request) -> Issuer:
    issuer = request.app[ISSUER]
    issuer.asked[request.path] += 1
    if issuer.delay:
        await asyncio.sleep(issuer.delay)
    return issuer


def _refusal(why: str) -> web.Response:
    return web.json_response({"error": "invalid_request", "error_description": why}, status=400)
