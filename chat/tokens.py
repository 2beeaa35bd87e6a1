"""Estimates of tokens, where no service counted them."""

import math

TOKENS_A_WORD = 1.3
CHARACTERS_A_WORD = 20  # of text that is not divided into words, be it Japanese or base 64


def estimate_tokens(*texts: str) -> int:
    """About how many tokens the texts have together."""
    return math.ceil(
        sum(max(len(text.split()), len(text) / CHARACTERS_A_WORD) for text in texts) * TOKENS_A_WORD
    )
