"""How a caller's limits stand, in the headers of a reply: as the IETF's draft names them, and as clients of OpenAI know
them.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (structured fields: a list of policies by name);
its registry of units has no tokens yet. https://platform.openai.com/docs/guides/rate-limits (`x-ratelimit-*`).
"""

from collections.abc import Iterator

from fastapi import Response

from chat.quotas import Quota, Standing

EXPOSE = "access-control-expose-headers"
UNITS = {"requests": "", "tokens": ';qu="tokens"'}  # a policy counts requests, unless it says otherwise
POLICIES = {"requests": "default", "tokens": "tokens"}


def limit_headers(standing: Standing | None) -> dict[str, str]:
    """None without limits."""
    quotas = dict(_quotas(standing))
    if not quotas:
        return {}
    headers = {
        "ratelimit-policy": ", ".join(
            f'"{POLICIES[name]}";q={each.limit};w={each.window}{UNITS[name]}' for name, each in quotas.items()
        ),
        "ratelimit": ", ".join(
            f'"{POLICIES[name]}";r={each.left}{_more(each)}' for name, each in quotas.items()
        ),
    }
    for name, each in quotas.items():
        headers |= {
            f"x-ratelimit-limit-{name}": str(each.limit),
            f"x-ratelimit-remaining-{name}": str(each.left),
            f"x-ratelimit-reset-{name}": show_duration(each.whole),
        }
    return headers


def with_limits[Reply: Response](response: Reply, standing: Standing | None) -> Reply:
    """The reply with these headers, which pages of other origins may read, too."""
    if headers := limit_headers(standing):
        response.headers.update(headers)
        more = [name for name in ("retry-after",) if name in response.headers]
        response.headers[EXPOSE] = exposed(response.headers.get(EXPOSE, ""), *more, *headers)
    return response


def exposed(before: str, *names: str) -> str:
    """The names of headers that pages may read, with more of them."""
    known = [each.strip() for each in before.split(",") if each.strip()]
    return ", ".join(dict.fromkeys([*known, *names]))


def show_duration(seconds: int) -> str:
    """`1h2m3s`"""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{rest}s"


def _quotas(standing: Standing | None) -> Iterator[tuple[str, Quota]]:
    if standing is not None and standing.requests is not None:
        yield "requests", standing.requests
    if standing is not None and standing.tokens is not None:
        yield "tokens", standing.tokens


def _more(quota: Quota) -> str:
    return f";t={quota.more}" if quota.more else ""
