"""The plain turn: the model is shown the conversation and answers."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from chat.events import TurnEvent
from chat.providers.base import ModelProvider
from chat.turns.base import TurnContext, TurnSource
from chat.turns.steps import StepReader
from chat.turns.window import ContextWindow


class TurnEngine(TurnSource):
    """One model call a turn."""

    def __init__(self, provider: ModelProvider, window: ContextWindow) -> None:
        self._provider = provider
        self._window = window

    async def events(self, context: TurnContext) -> AsyncGenerator[TurnEvent]:
        request = self._window.request(context)
        step = StepReader(
            index=0,
            provider=self._provider.name,
            prompt_tokens=request.estimated_tokens,
            scale=self._window.scale,
        )
        async with aclosing(self._provider.stream(request)) as pieces:
            async for piece in pieces:
                for event in step.read(piece):
                    yield event
        for event in step.finish():
            yield event
