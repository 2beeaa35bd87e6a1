"""The URL of a model endpoint as people write it in a setting, and how far away its host is."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from chat.settings import SettingsError


def split_endpoint(text: str, *, setting: str, example: str) -> SplitResult:
    """The parts of an endpoint. SettingsError, naming the setting, for what is no URL or holds a password."""
    try:
        parts = urlsplit(text.strip())
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port or an address that is none
        usable, parts = False, SplitResult("", "", "", "", "")
    if not usable:
        raise SettingsError(f"{setting}: not a URL such as {example}")
    if "@" in parts.netloc:
        raise SettingsError(
            f"{setting}: a user name or password does not belong in it; there is a setting for keys"
        )
    return parts


def is_loopback(host: str) -> bool:
    """Whether what is sent there stays on this machine."""
    return host == "localhost" or _is(host, "is_loopback")


def is_nearby(host: str) -> bool:
    """Whether what is sent there stays on this machine or in its own network, as far as a name can tell."""
    return is_loopback(host) or _is(host, "is_private") or not set(host) & {".", ":"}


def _is(host: str, kind: str) -> bool:
    try:
        return bool(getattr(ipaddress.ip_address(host), kind))
    except ValueError:
        return False
