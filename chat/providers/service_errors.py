"""What a model service says when it refuses, turned into our errors. For every service of the OpenAI family.

Only texts that explain a refused request are passed on, shortened and with everything that looks like a key or an
address taken out. Those about keys, quotas and the service's own troubles are not: services quote keys and accounts.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from chat.errors import (
    BadProviderReply,
    ContentFiltered,
    ModelNotFound,
    ProviderAuthFailed,
    ProviderError,
    ProviderRateLimited,
    ProviderRejected,
    ProviderSilent,
    ProviderTimeout,
    ProviderUnavailable,
)

MAX_MESSAGE_CHARACTERS = 300
LONGEST_WAIT = 86_400.0
"""Seconds that a service can ask to be left alone: the number is passed on to callers."""
LOOKED_AT = 1200
"""Characters of a text that are looked at: what it says further on is not passed on, whatever it is."""
SECRET = re.compile(
    r"\b\w++://\S+"
    r"|(?<![\w+/=.~-])(?=[\w+/=.~-]*\d)[\w+/=.~-]{24,}"
    r"|\bsk-\S+"
    r"|(?i:\bbearer\s+)\S+"
)
"""Addresses and keys. Each way begins where a word does, so that no letter is looked at again for every one before."""
FILTER_CODES = frozenset({"content_filter", "responsibleaipolicyviolation", "content_policy_violation"})

UNSUPPORTED_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
"""By which services say that they do not take a parameter at all, as against a value of it."""
SAMPLING = frozenset(
    {"temperature", "top_p", "max_tokens", "max_completion_tokens", "max_output_tokens", "reasoning"}
)
"""What a request can do without and still mean the same. Tools and schemas it cannot."""

STATUS_ERRORS: Mapping[int, type[ProviderError]] = {
    401: ProviderAuthFailed,
    402: ProviderAuthFailed,  # an account without credit: no other request will do either
    403: ProviderAuthFailed,
    408: ProviderTimeout,
    429: ProviderRateLimited,
    504: ProviderSilent,
}

WORDS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("content_filter", ContentFiltered),
    ("rate_limit", ProviderRateLimited),
    ("ratelimit", ProviderRateLimited),
    ("too_many_requests", ProviderRateLimited),
    ("toomanyrequests", ProviderRateLimited),
    ("request_limit", ProviderRateLimited),
    ("quota", ProviderRateLimited),
    ("timeout", ProviderTimeout),
    ("deadline", ProviderTimeout),
    ("api_key", ProviderAuthFailed),
    ("authentication", ProviderAuthFailed),
    ("permission", ProviderAuthFailed),
    ("server_error", ProviderUnavailable),
    ("internal", ProviderUnavailable),
    ("unavailable", ProviderUnavailable),
    ("overloaded", ProviderUnavailable),
    ("invalid", ProviderRejected),
    ("bad_request", ProviderRejected),
    ("context_length", ProviderRejected),
)
"""What the `code` or `type` of an error inside a stream contains, most telling first."""


def error_of_status(
    status: int, headers: Mapping[str, str], body: bytes, *, model: str, parameters: Collection[str] = ()
) -> ProviderError:
    """The error that a reply with this status stands for.

    `model` is who was asked, `parameters` are the keys of what was sent: one of them may be what is refused.
    """
    error = _error_object(body)
    if status == 404:
        return ModelNotFound(f"The model service knows no model '{model}' at this endpoint.")
    if status == 429:
        return ProviderRateLimited(retry_after=retry_after(headers))
    if 400 <= status < 500 and _is_filtered(error):
        return ContentFiltered()
    if kind := STATUS_ERRORS.get(status):
        return kind()
    if status >= 500:
        return ProviderUnavailable(f"The model service failed with status {status}.")
    if status >= 400:
        what = f"The model service refused the request ({status})"
        return ProviderRejected(_sentence(what, error), parameter=refused_parameter(error, parameters))
    return BadProviderReply(f"The model service answered with status {status}.")


def error_in_stream(error: object) -> ProviderError:
    """The error that an `error` object in the middle of a stream stands for."""
    row = _as_row(error)
    status = _status(row.get("code")) or _status(row.get("status"))
    if status:
        kind = STATUS_ERRORS.get(status, ProviderUnavailable if status >= 500 else ProviderRejected)
    else:
        words = f"{row.get('code')} {row.get('error_code')} {row.get('type')}".lower()
        kind = next((kind for word, kind in WORDS if word in words), BadProviderReply)
    if _is_filtered(row):
        kind = ContentFiltered
    if kind in {ProviderRejected, BadProviderReply}:
        return kind(_sentence("The model service broke off its reply", row))
    return kind()


def refused_parameter(error: Mapping[str, Any], parameters: Collection[str]) -> str:
    """Which of the parameters the service does not take; "" when its `param` and `code` do not say so.

    What its text says does not count: it may quote what a caller wrote.
    """
    named = str(error.get("param"))
    if named.startswith("reasoning."):  # what it has is one wish
        named = "reasoning"
    unsupported = str(error.get("code")).lower() in UNSUPPORTED_CODES
    return named if unsupported and named in SAMPLING and named in parameters else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as `retry-after-ms` or `retry-after` say (a number or an HTTP date); None when neither does.
    The mapping ignores case."""
    try:
        if milliseconds := headers.get("retry-after-ms") or headers.get("x-ms-retry-after-ms"):
            return _wait(float(milliseconds) / 1000)
        text = headers.get("retry-after") or ""
        return _wait(float(text)) if text.strip()[:1].isdigit() else _seconds_until(text, headers.get("date"))
    except (ValueError, TypeError):  # not a number, not a date, or one date without a zone
        return None


def _wait(seconds: float) -> float | None:
    return min(max(seconds, 0.0), LONGEST_WAIT) if seconds < float("inf") else None


def _seconds_until(moment: str, now: str | None) -> float | None:
    """By the clock of the service when it sent its `Date`, so that a wrong clock here makes no difference."""
    if not moment:
        return None
    start = parsedate_to_datetime(now) if now else datetime.now(UTC)
    return _wait((parsedate_to_datetime(moment) - start).total_seconds())


def _error_object(body: bytes) -> dict[str, Any]:
    try:
        reply = orjson.loads(body)
    except ValueError:
        return {}
    return _as_row(reply.get("error") or reply if isinstance(reply, dict) else {})


def _as_row(error: object) -> dict[str, Any]:
    return error if isinstance(error, dict) else {"message": error}


def _is_filtered(error: Mapping[str, Any]) -> bool:
    inner, more = error.get("innererror"), error.get("metadata")
    if isinstance(more, dict) and "flagged_input" in more:  # OpenRouter's moderation, with status 403
        return True
    codes = (error.get("code"), inner.get("code") if isinstance(inner, dict) else None)
    return any(str(code).lower() in FILTER_CODES for code in codes)


def _status(code: object) -> int:
    """The HTTP status that a code is, or 0."""
    text = str(code)
    return int(text) if re.fullmatch("[45][0-9][0-9]", text) else 0


def _sentence(what: str, error: Mapping[str, Any]) -> str:
    text = error.get("message")
    if not isinstance(text, str) or not text.strip():
        return what + "."
    words = text[:LOOKED_AT].split()
    if len(text) > LOOKED_AT:
        words[-1:] = ["…"]  # of a key that was cut in two, the half would not be known
    text = SECRET.sub("***", " ".join(words))
    if len(text) > MAX_MESSAGE_CHARACTERS:
        text = text[:MAX_MESSAGE_CHARACTERS] + "…"
    return f"{what}: {text}"
