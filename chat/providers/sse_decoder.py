"""Server-sent events from bytes, for replies that grow while they are read.

Follows the parsing rules of https://html.spec.whatwg.org/multipage/server-sent-events.html (read November 2026), with
one difference: an event that the end of the stream leaves open is delivered by `flush`, because many model services
forget the last blank line. Works on bytes alone: a character that is split between two reads is never looked at,
and `splitlines`, which also splits at U+2028, is never asked.
"""

from chat.errors import BadProviderReply

MAX_EVENT_BYTES = 8 * 1024 * 1024
BOM = b"\xef\xbb\xbf"


class SseDecoder:
    """The `data` of each event; names, ids and retry times are dropped, model services give them no meaning.

    Raises BadProviderReply when one event holds more than `max_event_bytes`.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._begun = False  # whether a byte order mark can no longer come
        self._line: list[bytes] = []  # pieces of the line that is not complete yet
        self._data: list[bytes] = []  # complete data lines of the event that is not complete yet
        self._held_bytes = 0  # read since the last event ended; never less than what the two lists hold
        self._after_cr = False  # a line feed that comes now belongs to the line end before it

    def decode(self, chunk: bytes) -> list[bytes]:
        """The events that became complete with these bytes."""
        if chunk.startswith(b"data: ") and self._is_one_event(chunk):
            return [chunk[6:-2]]
        if not self._begun or self._after_cr:
            chunk = self._at_the_seam(chunk)
        self._held_bytes += len(chunk)
        if b"\n" not in chunk and b"\r" not in chunk:
            if chunk:
                self._line.append(chunk)
            self._check_size()
            return []
        events = self._read_lines(self._complete_lines(chunk))
        if events or not self._data:
            self._held_bytes = sum(map(len, self._data)) + sum(map(len, self._line))
        self._check_size()
        return events

    def flush(self) -> list[bytes]:
        """The event that the end of the stream cut short, if there is one."""
        line = b"".join(self._line)
        self._line = []
        return self._read_lines([line, b""] if line else [b""])

    def _is_one_event(self, chunk: bytes) -> bool:
        """Whether this is exactly one event of one line with nothing pending: what a paced stream is made of."""
        if self._line or self._data or chunk.find(b"\n") != len(chunk) - 2 or b"\r" in chunk:
            return False
        self._begun = True
        self._after_cr = False
        return chunk.endswith(b"\n\n")

    def _at_the_seam(self, chunk: bytes) -> bytes:
        """The chunk without what belongs to the bytes before it: half of a CR LF, a byte order mark."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if self._begun:
            return chunk
        head = b"".join(self._line) + chunk
        self._line = []
        self._begun = len(head) >= len(BOM) or not BOM.startswith(head)
        return head.removeprefix(BOM)

    def _complete_lines(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this chunk; the rest is kept."""
        if self._line:
            chunk = b"".join(self._line) + chunk
            self._line = []
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        if rest := lines.pop():
            self._line.append(rest)
        return lines

    def _read_lines(self, lines: list[bytes]) -> list[bytes]:
        events: list[bytes] = []
        data = self._data
        for line in lines:
            if line.startswith(b"data: "):
                data.append(line[6:])
            elif line:
                field, _, value = line.partition(b":")  # a comment is a line whose field has no name
                if field == b"data":
                    data.append(value.removeprefix(b" "))
            elif data:
                events.append(data[0] if len(data) == 1 else b"\n".join(data))
                data.clear()
        return events

    def _check_size(self) -> None:
        if self._held_bytes > self._max_event_bytes:
            raise BadProviderReply(
                f"The model service sent an event of more than {self._max_event_bytes} bytes."
            )
