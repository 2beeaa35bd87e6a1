"""The host's HTTP front: decides who answers a request, in the order of the real host."""

from aiohttp import web
from multidict import CIMultiDict

from local.functions_host.admin import Admin
from local.functions_host.cors import Cors
from local.functions_host.functions import Function
from local.functions_host.keys import Keys
from local.functions_host.proxy import Proxy
from local.functions_host.routing import Router
from local.functions_host.webpubsub import PATH, WebPubSubWebhook
from local.gateway import Gateway
from local.half_open import answer_half_open

LANDING = "<!doctype html><title>Functions</title><p>Your functions host is up and running."


class Front:
    """One request in, one response out."""

    def __init__(
        self,
        router: Router[Function],
        proxy: Proxy,
        admin: Admin,
        web_pubsub: WebPubSubWebhook,
        gateway: Gateway,
        *,
        cors: Cors,
        keys: Keys | None,
    ) -> None:
        self._router, self._proxy, self._admin, self._web_pubsub = router, proxy, admin, web_pubsub
        self._gateway = gateway
        self._cors, self._keys = cors, keys

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What the gateway takes, preflights, then /admin and /runtime, then functions, then the landing page."""
        if self._gateway.takes(request):
            return await self._gateway.pass_on(request)
        answer_half_open(request)
        preflight = self._cors.preflight(request)
        if preflight is not None:
            return preflight
        added = self._cors.headers(request.headers)
        if not request.raw_path.startswith("/"):
            return web.Response(status=400, headers=added)
        path = request.raw_path.partition("?")[0]
        first = path.strip("/").partition("/")[0].lower()
        if first == "admin":
            return self._with(added, await self._admin_answer(request))
        if path.lower().startswith("/runtime/webhooks/"):
            return self._with(added, await self._webhook(request, path))
        found = self._router.match(request.method, path)
        if found is None:
            return self._with(added, self._unmatched(request.method, path))
        if not self._allows(request, found.target.auth_level):
            return web.Response(status=401, headers=added)
        return await self._proxy.forward(request, found.target, found.params, added)

    def _allows(self, request: web.BaseRequest, level: str) -> bool:
        return self._keys is None or self._keys.allows(request, level)

    async def _admin_answer(self, request: web.BaseRequest) -> web.Response:
        if not self._allows(request, "admin"):
            return web.Response(status=401)
        return await self._admin.answer(request)

    async def _webhook(self, request: web.BaseRequest, path: str) -> web.Response:
        """Of all extensions only Web PubSub has a webhook here."""
        if path.lower().rstrip("/") != PATH:
            return web.Response(status=404)
        if not self._allows(request, "function"):
            return web.Response(status=401)
        return await self._web_pubsub.answer(request)

    def _unmatched(self, method: str, path: str) -> web.Response:
        if path == "/" and method == "GET":
            return web.Response(text=LANDING, content_type="text/html")
        return web.Response(status=404)

    def _with(self, added: CIMultiDict[str], response: web.Response) -> web.Response:
        response.headers.update(added)
        return response
