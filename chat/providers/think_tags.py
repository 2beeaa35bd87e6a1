"""Reasoning that stands in the text of a reply, as DeepSeek-R1 writes it: `<think>...</think>` before all else.

Only at the very beginning: a tag further on is something that the model says.
"""

from collections.abc import Sequence

from chat.providers.base import ReasoningPiece, TextPiece

OPEN, CLOSE = "<think>", "</think>"


class ThinkTags:
    """Splits text as it comes. What may be half a tag is held back until it is known, or `flush` asks for it."""

    def __init__(self) -> None:
        self.done = False  # from now on everything is text
        self._inside = False
        self._answers = False  # the reasoning is over, the answer has not begun
        self._held = ""

    def split(self, text: str) -> Sequence[ReasoningPiece | TextPiece]:
        """The pieces that are certain now."""
        if self.done:
            return _text(text)
        text, self._held = self._held + text, ""
        if self._inside:
            return self._think(text)
        if self._answers:
            return self._answer(text)
        if text.startswith(OPEN):
            self._inside = True
            return self._think(text[len(OPEN) :])
        if OPEN.startswith(text):
            self._held = text
            return ()
        self.done = True
        return _text(text)

    def flush(self) -> Sequence[ReasoningPiece | TextPiece]:
        """What is still held back when the reply ends."""
        held, self._held = self._held, ""
        self.done = True
        return _reasoning(held) if self._inside else _text(held)

    def _think(self, text: str) -> Sequence[ReasoningPiece | TextPiece]:
        thought, tag, rest = text.partition(CLOSE)
        if tag:
            self._inside, self._answers = False, True
            return [*_reasoning(thought), *self._answer(rest)]
        kept = next((size for size in range(len(CLOSE) - 1, 0, -1) if text.endswith(CLOSE[:size])), 0)
        self._held = text[len(text) - kept :]
        return _reasoning(text[: len(text) - kept])

    def _answer(self, text: str) -> Sequence[TextPiece]:
        """Blank lines stand between the two, and belong to neither."""
        text = text.lstrip()
        self.done = bool(text)
        return _text(text)


def _text(text: str) -> Sequence[TextPiece]:
    return [TextPiece(text)] if text else ()


def _reasoning(text: str) -> Sequence[ReasoningPiece]:
    return [ReasoningPiece(text)] if text else ()
