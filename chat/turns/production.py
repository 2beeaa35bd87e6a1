"""A source's events on their way into a log."""

import asyncio
from contextlib import aclosing
from contextvars import Context
from dataclasses import dataclass

from chat.store.turn_store import StartedTurn
from chat.turns.allowance import FREE, Allowance
from chat.turns.approved_calls import begins_with_calls
from chat.turns.base import TurnContext, TurnSource
from chat.turns.log import TurnLog

CLOSING = 1.0  # seconds a source may take to close


class Production:
    """Asks the source at once, but says nothing before the turn is stored and `deliver_to` names its log. A turn that
    begins with calls that were approved is stored before anything is done for it: they may run once.

    The task has a context of its own: the variables of the invocation that asked do not belong to the turn.
    """

    def __init__(self, source: TurnSource, context: TurnContext) -> None:
        self._log: asyncio.Future[TurnLog] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._produce(source, context), context=Context())

    def deliver_to(self, log: TurnLog) -> None:
        self._log.set_result(log)

    async def stop(self) -> None:
        """Close the source, and with it the model's stream. What it raised is no longer of interest."""
        self.task.cancel()
        await asyncio.wait([self.task], timeout=CLOSING)
        if self.task.done() and not self.task.cancelled():
            self.task.exception()

    async def _produce(self, source: TurnSource, context: TurnContext) -> None:
        if begins_with_calls(context.request):
            await self._log
        async with aclosing(source.events(context)) as events:
            first = await anext(events, None)
            log = await self._log
            if first is not None:
                log.append(first)
            async for event in events:
                log.append(event)


@dataclass(frozen=True, slots=True)
class NewTurn:
    """A turn that is stored, and the source that is being asked for it."""

    stored: StartedTurn
    production: Production
    messages: int  # that the source was given
    allowance: Allowance = FREE
