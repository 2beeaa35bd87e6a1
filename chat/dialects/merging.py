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
    TurnEvent,
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


def squeezed(events: Iterable[NumberedEvent]) -> Iterator[NumberedEvent]:
    """All of the events, with pieces of one text, or of one reasoning, that follow each other as one, as long as it
    fits into a frame."""
    held: NumberedEvent | None = None
    for numbered in events:
        if held is not None and (longer := _continued(held.event, numbered.event)) is not None:
            held = NumberedEvent(numbered.number, longer)
            continue
        if held is not None:
            yield held
        held = numbered
    if held is not None:
        yield held


def _continued(before: TurnEvent, event: TurnEvent) -> TurnEvent | None:
    match before, event:
        case (TextDelta(one, text), TextDelta(other, more)) | (
            ReasoningDelta(one, text),
            ReasoningDelta(other, more),
        ) if one == other and len(text) + len(more) <= PIECE:
            return type(event)(one, text + more)
        case _:
            return None


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
