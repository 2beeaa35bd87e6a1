"""Estimates of tokens, where no service counted them."""

import math

TOKENS_A_WORD = 1.3
CHARACTERS_A_WORD = 20  # of text that is not divided into words, be it Japanese or base 64


def estimate_tokens(*texts: str) -> int:
    """About how many tokens the texts have together."""
    return math.ceil(
        sum(max(len(text.split()), len(text) / CHARACTERS_A_WORD) for text in texts) * TOKENS_A_WORD
    )


class RunningEstimate:
    """The same of a text that comes in pieces, never less: a word that is cut in two counts twice."""

    def __init__(self) -> None:
        self._words = self._characters = 0

    def add(self, piece: str) -> None:
        self._words += len(piece.split())
        self._characters += len(piece)

    @property
    def tokens(self) -> int:
        return math.ceil(max(self._words, self._characters / CHARACTERS_A_WORD) * TOKENS_A_WORD)


class TokenScale:
    """How our estimates relate to what services count, learned from their reports, for each model."""

    def __init__(self) -> None:
        self._scales: dict[str, float] = {}

    def of(self, model: str) -> float:
        return self._scales.get(model, 1.0)

    def learn(self, model: str, *, estimated: int, reported: int) -> None:
        """A quarter of the way to what was reported; between half and three times our estimate."""
        if estimated > 0 and reported > 0:
            seen = min(max(reported / estimated, 0.5), 3.0)
            self._scales[model] = self.of(model) + (seen - self.of(model)) / 4
