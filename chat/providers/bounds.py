"""What is taken over from a model service besides its text: within bounds, and as something that can be written.

Names, ids and numbers become events, properties of rows and parts of later requests, whatever a service sent.
"""

import json
import math

import orjson

MOST_NAME = 128
"""Characters of the name of a model or a tool."""
MOST_ID = 500
"""Characters of the id of a call, which a caller may have to give back. Some gateways keep more in it than a name."""
MOST_CALLS = 64
"""Calls in one reply; what comes beyond is passed over. Far fewer of them are run."""
MOST_OUTPUT = 20_000
"""Characters of what came of a call that the service ran itself."""
MOST_TOKENS = 1_000_000_000
"""Tokens of one call: the sum of a turn stays within what every reader of JSON can hold."""


def bounded_name(value: object) -> str:
    """The beginning of a name, without what no name holds; "" for what is none."""
    name = value[:MOST_NAME] if isinstance(value, str) else ""
    return name if name.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in name)


def bounded_id(value: object) -> str:
    """The id of a call, which is told apart by it: one that is too long is as good as none."""
    text = str(value) if isinstance(value, str | int) else ""
    return text if len(text) <= MOST_ID and text.isprintable() else ""


def bounded_text(text: str) -> str:
    """The beginning of an output."""
    return text if len(text) <= MOST_OUTPUT else text[:MOST_OUTPUT] + " [cut]"


def bounded_count(value: object) -> int | None:
    """A number of tokens; None for what is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return min(max(int(value), 0), MOST_TOKENS)


def parsed(data: bytes) -> object:
    """JSON as a service sent it, with U+FFFD for what is no character: half a surrogate pair, bytes that are no UTF-8.
    ValueError for what is no JSON."""
    try:
        return orjson.loads(data)
    except ValueError:
        return _repaired(data)


def _repaired(data: bytes) -> object:
    """Slow, and asked only for what could not be read; the standard library bears what it cannot write again."""
    try:
        text = json.dumps(json.loads(data.decode(errors="replace")), ensure_ascii=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return orjson.loads(whole)
