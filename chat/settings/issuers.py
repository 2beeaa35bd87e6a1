"""Issuers of tokens: the one form of each, by which who somebody is hangs on it.

Entra ID writes the same tenant in two ways, by the version of the token; some issuers end in a slash. Inside, an issuer
has one form.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

ENTRA = "https://login.microsoftonline.com/"
TENANT = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
OF_ENTRA = re.compile(
    rf"https://(?:sts\.windows\.net|login\.microsoftonline\.com)/({TENANT})(?:/v2\.0)?", re.IGNORECASE
)
ENTRA_HOSTS = ("login.microsoftonline.com", "sts.windows.net")
OBJECT_IDS = ("login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")


def canonical(issuer: str) -> str:
    """The one form of an issuer, whatever a token or a setting calls it."""
    issuer = issuer.removesuffix("/")
    if found := OF_ENTRA.fullmatch(issuer):
        return f"{ENTRA}{found[1].lower()}/v2.0"
    return issuer


def entra_issuer(tenant: str) -> str:
    """The issuer of a tenant of Entra ID."""
    return canonical(f"{ENTRA}{tenant}/v2.0")


def has_object_ids(issuer: str) -> bool:
    """Whether it names people by `oid`, since its `sub` differs from one app to the next."""
    host = urlsplit(issuer).hostname or ""
    return host in OBJECT_IDS or host.endswith(".ciamlogin.com")


def check_url(url: str) -> str:
    """The URL of an issuer, or of its keys. ValueError."""
    parts = urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in LOOPBACK
    if not url.isprintable() or " " in url or not parts.hostname or not (local or parts.scheme == "https"):
        raise ValueError("must be a URL with https (http only on this machine)")
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("must be a URL without user, query and fragment")
    return url


def read_issuers(text: str) -> tuple[str, ...]:
    """Issuers with commas between, each in its one form."""
    return _each_once([_read_issuer(each) for each in _parts(text)])


def read_providers_of_sign_in(text: str) -> tuple[str, ...]:
    """The same, or names of providers whose sign-in has no issuer, such as `github`."""
    return _each_once([_read_issuer(each) if "/" in each else _read_name(each) for each in _parts(text)])


def _parts(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _each_once(issuers: Sequence[str]) -> tuple[str, ...]:
    if len(set(issuers)) < len(issuers):
        raise ValueError("names an issuer twice")
    return tuple(issuers)


def _read_issuer(text: str) -> str:
    issuer = canonical(check_url(text))
    if urlsplit(issuer).hostname in ENTRA_HOSTS and not OF_ENTRA.fullmatch(issuer):
        raise ValueError(f"must name one tenant of Entra ID by its id: {ENTRA}<tenant id>/v2.0")
    return issuer


def _read_name(text: str) -> str:
    name = text.lower()
    if name == "aad":
        raise ValueError(f"must name the tenant instead of aad: {ENTRA}<tenant id>/v2.0")
    if not NAME.fullmatch(name):
        raise ValueError("must be issuers such as https://sso.example.com, or names such as github")
    return name
