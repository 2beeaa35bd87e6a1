"""Reads credentials out of the headers of a request, where each has one place and comes once."""

from collections.abc import Mapping

from chat.errors import Unauthenticated

BEARER = "bearer "


def sole_header(headers: Mapping[str, str], name: str) -> str:
    """The value of a header; "" when it did not come. Unauthenticated when it came more than once: whoever stands
    before the app may have looked at the other one."""
    value = headers.get(name)
    if value is None:
        return ""
    if sum(each == name for each in headers) > 1:
        raise Unauthenticated(f"The header {name} came more than once.")
    return value.strip()


def find_bearer(authorization: str) -> str:
    """The token of an `Authorization` header (RFC 6750, section 2.1); "" for another scheme."""
    is_bearer = authorization.lower().startswith(BEARER)
    return authorization[len(BEARER) :].strip() if is_bearer else ""


def bearer_token(authorization: str) -> str:
    """The same. Unauthenticated for another scheme, and without a token."""
    if token := find_bearer(authorization):
        return token
    raise Unauthenticated("Of Authorization the scheme Bearer alone is known.")
