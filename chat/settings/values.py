"""What the text of a setting stands for: one reader for each kind of value. Each raises ValueError with the reason."""

import re

from chat.quotas import Rate
from chat.settings.issuers import check_url
from chat.settings.model_services import SERVICES

PROVIDERS = ("AZURE", *SERVICES)
PROTOCOLS = ("chat", "responses", "agent")
SUMMARIES = ("", "auto", "concise", "detailed")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:]+\]|[^/\s:*?#@\[\]]+)(:(\d{1,5}|\*))?")
WAYS = ("easyauth", "jwt", "apikey", "header", "dev")
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
)  # by a key that can only check: with one that can also sign, whoever checks could make tokens
ADDRESSES = ("email", "emails", "upn", "preferred_username", "unique_name", "name", "nickname", "username")
ALL = "*"
TOOLS = ("current_time", "query_data", "describe_data", "execute_genie_query", "find_places")


def read_line(text: str) -> str:
    """What is sent as a header or stands in a URL."""
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


def read_names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def read_count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise ValueError("must be a whole number") from None
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def read_duration(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("must be a number") from None
    if not 0 <= number < float("inf"):
        raise ValueError("must be a number from 0 up")
    return number


def read_positive(text: str) -> float:
    number = read_duration(text)
    if number == 0:
        raise ValueError("must be more than 0")
    return number


def read_providers(text: str) -> tuple[str, ...]:
    names = read_names(text)
    unknown = [name for name in names if name not in PROVIDERS]
    if unknown or not names:
        raise ValueError(f"must name at least one of {', '.join(PROVIDERS)}, and nothing else")
    return names


def read_protocol(text: str) -> str:
    if text not in PROTOCOLS:
        raise ValueError(f"must be one of {', '.join(PROTOCOLS)}")
    return text


def read_summary(text: str) -> str:
    if text not in SUMMARIES:
        raise ValueError("must be auto, concise or detailed")
    return text


def read_tools(text: str) -> tuple[str, ...]:
    names = () if text == "none" else read_names(text)
    if not set(names) <= set(TOOLS):
        raise ValueError(f"must be none, or some of {', '.join(TOOLS)}")
    return names


def read_approved_tools(text: str) -> tuple[str, ...]:
    """Of a name that is misspelt nobody would learn: its tool would run unasked."""
    names = read_names(text)
    if names != (ALL,) and not set(names) <= set(TOOLS):
        raise ValueError(f"must be *, or some of {', '.join(TOOLS)}")
    return names


def read_output_size(text: str) -> int:
    number = read_count(text)
    if number > 100_000:  # an event must fit into a row of the store
        raise ValueError("must be at most 100000")
    return number


def read_milliseconds(text: str) -> float:
    return read_duration(text) / 1000


def read_level(text: str) -> str:
    if text.upper() not in {"ANONYMOUS", "FUNCTION", "ADMIN"}:
        raise ValueError("must be ANONYMOUS, FUNCTION or ADMIN")
    return text.upper()


def read_hub(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_,.\[\]`]{0,127}", text):
        raise ValueError("must be a letter and then letters, digits, _ or .")
    return text


def read_events_way(text: str) -> str:
    if text not in {"trigger", "http"}:
        raise ValueError("must be trigger or http")
    return text


def read_switch(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("must be true or false")
    return text.lower() == "true"


def read_origins(text: str) -> frozenset[str]:
    """Origins as browsers name them (RFC 6454), in lower case. `null`, which every sandbox may say, is none."""
    origins = frozenset(each.lower().rstrip("/") for each in read_names(text))
    for each in origins:
        if not ORIGIN.fullmatch(each):
            raise ValueError("must be origins such as https://chat.example.com, with commas between")
    return origins


def read_pages(text: str) -> frozenset[str]:
    """The same, or `*` alone for every origin."""
    return frozenset("*") if text == "*" else read_origins(text)


def has_origin(origins: frozenset[str], origin: str) -> bool:
    """Whether a page of this origin, as its browser names it, is among them."""
    origin = origin.lower()
    return bool({origin, f"{origin.rpartition(':')[0]}:*"} & origins)


def read_busy(text: str) -> str | None:
    if text not in {"", "reject", "queue", "interrupt"}:
        raise ValueError("must be reject, queue or interrupt")
    return text or None


def read_ways(text: str) -> tuple[str, ...]:
    names = read_names(text)
    if unknown := [name for name in names if name not in WAYS]:
        raise ValueError(f"{', '.join(unknown)} is not known; there is: {', '.join(WAYS)}")
    if not names or len(set(names)) < len(names):
        raise ValueError("must name at least one way, and none twice")
    return names


def read_algorithms(text: str) -> tuple[str, ...]:
    names = read_names(text)
    if not names or not set(names) <= set(ALGORITHMS):
        raise ValueError(f"must name some of {', '.join(ALGORITHMS)}, and nothing else")
    return names


def read_key_url(text: str) -> str:
    return check_url(text) if text else ""


def read_claims(text: str) -> tuple[str, ...]:
    names = read_names(text)
    if not names or not all(name.isprintable() for name in names):
        raise ValueError("must be names of claims, with commas between")
    return names


def read_user_claim(text: str) -> str:
    """People share, change and give up addresses and names; what is theirs here must not go with it."""
    if text.lower() in ADDRESSES or text.startswith("verified_"):
        raise ValueError("may change hands: must be a claim that names the same person for ever")
    return read_line(text)


def read_rate(text: str) -> Rate | None:
    """`60/60`: so many requests, and so many again in so many seconds. None for 0."""
    if text == "0":
        return None
    requests, slash, seconds = text.partition("/")
    if not slash:
        raise ValueError("must be 0, or requests and seconds such as 60/60")
    return Rate(read_count(requests), read_positive(seconds))


def read_budget(text: str) -> int:
    """Tokens; 0 is without a limit."""
    return 0 if text == "0" else read_count(text)
