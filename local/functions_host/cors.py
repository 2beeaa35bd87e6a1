"""Cross-origin rules of the host, from `Host.CORS` of local.settings.json. Preflights never reach the app."""

from dataclasses import dataclass

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy


@dataclass(frozen=True, slots=True)
class Cors:
    """Which origins may read answers. No origins: the host does nothing, and OPTIONS goes to the app."""

    origins: frozenset[str]
    credentials: bool = False

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """The answer to a preflight; None when the request is none."""
        method = request.headers.get("Access-Control-Request-Method")
        if not self.origins or request.method != "OPTIONS" or not method or "Origin" not in request.headers:
            return None
        headers = self.headers(request.headers)
        if headers:
            headers["Access-Control-Allow-Methods"] = method
            wanted = request.headers.get("Access-Control-Request-Headers")
            if wanted:
                headers["Access-Control-Allow-Headers"] = wanted
        return web.Response(status=204, headers=headers)

    def headers(self, asked: CIMultiDictProxy[str]) -> CIMultiDict[str]:
        """What to add to the answer to a request with these headers."""
        origin = asked.get("Origin", "")
        if not origin or not self.origins & {origin, "*"}:
            return CIMultiDict()
        if "*" in self.origins and not self.credentials:
            return CIMultiDict({"Access-Control-Allow-Origin": "*"})
        headers = CIMultiDict({"Access-Control-Allow-Origin": origin, "Vary": "Origin"})
        if self.credentials:
            headers["Access-Control-Allow-Credentials"] = "true"
        return headers


def read_cors(origins: str, *, credentials: bool = False) -> Cors:
    """The rules for a comma list of origins, as `Host.CORS` and --cors have it."""
    names = (each.strip().rstrip("/") for each in origins.split(","))
    return Cors(frozenset(name for name in names if name), credentials)
