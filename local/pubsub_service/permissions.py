"""What a client may do: the roles of its token, and what was granted to its connection later."""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

type Deed = Literal["joinLeaveGroup", "sendToGroup"]

DEEDS: tuple[Deed, ...] = ("joinLeaveGroup", "sendToGroup")


class Permissions:
    """One connection's. A role may name one group, a pattern of groups, or none and so all."""

    def __init__(self, roles: Iterable[str]) -> None:
        self._roles = set(roles)

    def allow(self, deed: Deed, group: str) -> bool:
        """Whether it may do this to that group."""
        if {f"webpubsub.{deed}", f"webpubsub.{deed}.{group}"} & self._roles:
            return True
        prefix = f"webpubsub.{deed}s."
        patterns = (role.removeprefix(prefix) for role in self._roles if role.startswith(prefix))
        return any(_pattern(each).fullmatch(group) for each in patterns)

    def has(self, deed: Deed, group: str) -> bool:
        """Whether this very permission was granted; "" asks for the one for all groups."""
        return self.allow(deed, group) if group else f"webpubsub.{deed}" in self._roles

    def grant(self, deed: Deed, group: str) -> None:
        self._roles.add(f"webpubsub.{deed}.{group}" if group else f"webpubsub.{deed}")

    def revoke(self, deed: Deed, group: str) -> None:
        """Without a group, all permissions for this deed."""
        if group:
            self._roles.discard(f"webpubsub.{deed}.{group}")
        else:
            self._roles = {role for role in self._roles if not role.startswith(f"webpubsub.{deed}")}


@lru_cache(maxsize=1000)
def _pattern(text: str) -> re.Pattern[str]:
    """`*` is anything inside one dot segment, `**` anything, `?` one character, a backslash takes the next as it is."""
    ways = {"**": ".*", "*": r"[^.]*", "?": r"[^.]"}
    parts = re.findall(r"\\.|\*\*|\*|\?|.", text, re.DOTALL)
    return re.compile("".join(ways.get(each) or re.escape(each[-1]) for each in parts), re.DOTALL)
