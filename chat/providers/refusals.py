"""Which parameters the models refuse, for a while: what one request taught must not change all others for good."""

from collections.abc import Callable
from dataclasses import replace

from chat.providers.base import ModelRequest

REMEMBERED = 600.0
"""Seconds for which a parameter is left out of a model's requests. Then the first that has it asks again."""


class Refusals:
    """`clock` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str, str], float] = {}  # provider, model, parameter

    def learn(self, asked: ModelRequest, parameter: str) -> bool:
        """Remember what the model refused. False when it was left out of that request already, or none is named."""
        if not parameter or asked.extras.get(parameter, ...) is None:
            return False
        now = self._clock()
        self._until = {key: until for key, until in self._until.items() if until > now}
        self._until[asked.provider, asked.model, parameter] = now + REMEMBERED
        return True

    def without(self, request: ModelRequest) -> ModelRequest:
        """The request as this provider's model takes it."""
        now = self._clock()
        for (provider, model, parameter), until in sorted(self._until.items()):
            if (provider, model) == (request.provider, request.model) and until > now:
                request = _without(request, parameter)
        return request


def _without(request: ModelRequest, parameter: str) -> ModelRequest:
    """The request without a parameter; the limit of tokens has a second name."""
    extras = {**request.extras, parameter: None}
    if parameter == "max_tokens" and request.max_tokens is not None and "max_completion_tokens" not in extras:
        extras["max_completion_tokens"] = request.max_tokens
    return replace(request, extras=extras)
