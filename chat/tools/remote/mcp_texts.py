"""Texts of servers, without what nobody is to see."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

UNSEEN = ("Cc", "Cf", "Co", "Cs", "Cn")  # Unicode's categories of what is not shown
OPENS = re.compile("auth|cookie|credential|key|passw|secret|signature|token", re.IGNORECASE)
"""Names of headers that are there to be let in."""
SHORTEST = 8  # characters of what is taken for a secret: shorter words stand in texts by chance


def cleaned(text: str) -> str:
    """Without what nobody sees, but for line ends and tabs."""
    return "".join(each for each in text if each in "\n\t" or unicodedata.category(each) not in UNSEEN)


def secrets_in(headers: Mapping[str, str]) -> Iterator[str]:
    """What must not be repeated of headers: all words but short ones, of those that let in."""
    for name, value in headers.items():
        if OPENS.search(name):
            yield from (each for each in value.split() if len(each) >= SHORTEST)


def hidden(text: str, secrets: Iterable[str]) -> str:
    """The text with `***` in place of each of them: servers repeat what they were asked with."""
    for each in secrets:
        text = text.replace(each, "***")
    return text
