"""Partition and row keys: how ids become keys, and back. A key has at most 512 UTF-16 units."""

import re

# What a key may not hold (`/ \ # ?` and controls) or had better not (`% +`) moves into a block of private letters; what
# came from that block gets a mark before it. So each character takes at most two UTF-16 units, and 255 of them fit.
PRIVATE = 0xE000
MARK = "\ue100"
FORBIDDEN = [*range(0x20), *range(0x7F, 0xA0), *map(ord, "/\\#?%+")]
ESCAPES = {code: chr(PRIVATE + code) for code in FORBIDDEN} | {
    code: MARK + chr(code) for code in range(PRIVATE, ord(MARK) + 1)
}
ESCAPED = re.compile("\ue100(.)|([\ue000-\ue0ff])", re.DOTALL)

ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
HEAD = "session"


def escaped(text: str) -> str:
    """Any text as a part of a key."""
    return text.translate(ESCAPES)


def unescaped(key: str) -> str:
    """The reverse of `escaped`."""
    return ESCAPED.sub(lambda found: found[1] or chr(ord(found[2]) - PRIVATE), key)


def is_id(text: str) -> bool:
    """Whether this can be the id of a session; what a caller sends may be anything."""
    return ID.fullmatch(text) is not None


def message_key(seq: int, part: int = 0) -> str:
    """The row of a message; long texts go on in rows with a part from 1 up."""
    return f"m-{seq:08d}-{part:03d}" if part else f"m-{seq:08d}"


def request_key(seq: int, part: int) -> str:
    """A part of what the waiting message `seq` asks for."""
    return f"q-{seq:08d}-{part:03d}"


def turn_key(seq: int) -> str:
    return f"t-{seq:08d}"


def events_key(seq: int, last: int) -> str:
    """A batch of events of the turn `seq`, the last of which has the number `last`."""
    return f"e-{seq:08d}-{last:08d}"


def user_key(user_id: str) -> str:
    """The row that says when a user was last seen."""
    return f"u-{escaped(user_id)}"


def connection_key(connection_id: str) -> str:
    return f"c-{escaped(connection_id)}"


def ticket_key(ticket_id: str) -> str:
    return f"w-{escaped(ticket_id)}"


def seq_of(key: str) -> int:
    """The number in a message, turn or events key."""
    return int(key[2:10])


def events_range(session_id: str, seq: int, *, after: int = 0) -> tuple[str, str, str]:
    """The partition, the first key, and the key beyond all batches with events above `after`."""
    return session_id, events_key(seq, after + 1), f"e-{seq:08d}."
