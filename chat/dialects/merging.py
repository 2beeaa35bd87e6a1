"""Text that is told in pieces, as what sockets are shown: the fewest frames that it fits into."""

from collections.abc import Iterable, Iterator

from chat.events import (
    AttemptFailed,
    NumberedEvent,
    ProviderSwitched,
    ReasoningDelta,
    ReasoningFinished,
    ReasoningStarted,
    StepFinished,
    StepStarted,
    TextDelta,
    TextFinished,
    TextStarted,
    UsageReported,
)

PIECE = 64 * 1024
"""Characters of one frame: the service takes 1 MB, and JSON may write a character as six bytes."""


SILENT = (
    StepStarted,
    StepFinished,
    TextStarted,
    TextFinished,
    ReasoningStarted,
    ReasoningDelta,
    ReasoningFinished,
    AttemptFailed,
    ProviderSwitched,
    UsageReported,
)
"""Events that no dialect of a socket shows: text before and after them is one text."""


def merged(events: Iterable[NumberedEvent]) -> Iterator[NumberedEvent]:
    """The events that sockets are shown, with text that follows text as one delta, as long as it fits into a frame. It
    has the number of its last part, so whoever has it goes on behind that."""
    held: list[str] = []
    size = last = 0
    for numbered in events:
        if isinstance(numbered.event, SILENT):
            continue
        text = numbered.event.text if isinstance(numbered.event, TextDelta) else None
        if held and (text is None or size + len(text) > PIECE):
            yield NumberedEvent(last, TextDelta("", "".join(held)))
            held, size = [], 0
        if text is None:
            yield numbered
        else:
            held.append(text)
            size, last = size + len(text), numbered.number
    if held:
        yield NumberedEvent(last, TextDelta("", "".join(held)))
