"""How a caller's limits stand, in the headers of a reply: as the IETF's draft names them, and as clients of OpenAI know
them.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/ (structured fields: a list of policies by name);
its registry of units has no tokens yet. https://platform.openai.com/docs/guides/rate-limits (`x-ratelimit-*`).
"""

from collections.abc import Iterator

from fastapi import Response

from chat.quotas import Quota, Standing

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
    """The reply with these headers; `reply_headers.py` lets pages of other origins read them."""
    response.headers.update(limit_headers(standing))
    return response


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
