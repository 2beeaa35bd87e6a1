"""What may be printed of a URL: not its query, in which a key may stand."""

import logging
import re

QUERY = re.compile(r"\?[^\s\"'<>]*")


def without_queries(text: str) -> str:
    """`GET /api/chat?code=secret` as `GET /api/chat?...`; a question mark at the end of a word stays."""
    return QUERY.sub(lambda found: "?..." if len(found[0]) > 1 else "?", text)


class Formatter(logging.Formatter):
    """Cuts the queries out of whatever is logged, the texts of errors and their stacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return without_queries(super().format(record))
