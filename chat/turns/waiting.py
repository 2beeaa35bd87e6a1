"""What becomes of a message to a session that is busy (docs/protocol.md, section 8)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from chat.clock import Clock
from chat.errors import ChatError, StoreError, TurnInProgress
from chat.messages import Message, MessageDraft, WaitingMessage, message_id
from chat.store.base import ConversationStore, InstanceStore
from chat.telemetry import record
from chat.turns.base import TurnRequest
from chat.turns.feed import LiveTurn

type OnBusy = Literal["reject", "queue", "interrupt"]

TRIES = 20  # a session may be freed and taken again between two looks
AGAIN = (0.0, 0.5, 2.0, 5.0)  # seconds before each try to answer what waits, while the store is away
LOOK = 0.2  # seconds between two looks for the turn that answers


class WaitingMessages:
    """Asks now, or has the message wait for the next turn."""

    def __init__(
        self,
        conversations: ConversationStore,
        instances: InstanceStore,
        start: Callable[[TurnRequest], Awaitable[LiveTurn]],
        cancel: Callable[[str, str], Awaitable[object]],
        clock: Clock,
    ) -> None:
        self._conversations, self._instances = conversations, instances
        self._start, self._cancel = start, cancel
        self._clock = clock

    async def ask(self, request: TurnRequest, on_busy: OnBusy) -> LiveTurn | Message:
        """The turn that began, or the message that waits for one. Raises as `TurnRunner.start`, and QueueFull."""
        for attempt in range(TRIES):
            try:
                return await self._start(request)
            except TurnInProgress as error:
                if on_busy == "reject" or attempt == TRIES - 1 or not request.session_id:
                    raise
                if on_busy == "interrupt":
                    await self._cancel(request.user_id, error.turn_id)
                elif not request.content:
                    raise  # what is stored already has its place before the running turn
                elif (message := await self._wait(request)) is not None:
                    return message
            await asyncio.sleep(0.02 * attempt)
        raise AssertionError("the last try raises")

    async def answer(self, session_id: str) -> None:
        """Start the turn that answers what waits in a session, when a turn of it has ended."""
        for pause in AGAIN:
            await asyncio.sleep(pause)
            try:
                return await self._answer(session_id)
            except StoreError:
                continue
            except ChatError as error:  # another turn runs, or there is nothing to answer any more
                record("waiting_not_answered", session_id=session_id, code=error.code)
                return None
        return None

    async def leave(self, session_id: str) -> None:
        """Leave what waits to another process, because this one stops."""
        try:
            if (await self._conversations.load_session(session_id)).waiting:
                await self._instances.post_waiting(session_id)
        except ChatError as error:  # whoever looks at the session next finds it
            record("waiting_not_left", session_id=session_id, code=error.code)

    async def answer_left(self) -> None:
        """Answer what other processes left. StoreError."""
        for session_id in await self._instances.take_waiting():
            await self.answer(session_id)

    async def answer_to(self, user_id: str, message: Message, *, patience: float) -> str:
        """The id of the turn that answers a message that waited, as soon as there is one. TurnInProgress after
        `patience` seconds."""
        deadline = self._clock.monotonic() + patience
        while True:
            later = await self._conversations.list_messages(
                user_id, message.session_id, limit=20, after=message.seq
            )
            answer = next((each for each in later if each.role == "assistant"), None)
            if answer is not None:
                return answer.id
            if self._clock.monotonic() > deadline:
                session = await self._conversations.get_session(user_id, message.session_id)
                raise TurnInProgress(session.running_turn)
            await asyncio.sleep(LOOK)

    async def _wait(self, request: TurnRequest) -> Message | None:
        waiting = WaitingMessage(
            0, request.user_id, request.dialect, request.pipeline, request.wire, request.settings
        )
        draft = MessageDraft(
            "user", request.content, author=request.user_id, parent_message_id=request.parent_message_id
        )
        return await self._conversations.append_waiting(request.session_id, draft, waiting)

    async def _answer(self, session_id: str) -> None:
        session = await self._conversations.load_session(session_id)
        if not session.waiting or session.running_turn:
            return
        last = session.waiting[-1]
        await self._start(
            TurnRequest(
                # Who wrote it may have been taken out meanwhile; the others' messages are answered all the same.
                last.user_id if session.allows(last.user_id, "editor") else session.user_id,
                message_id=message_id(session_id, last.seq),
                session_id=session_id,
                dialect=last.dialect,
                pipeline=last.pipeline,
                wire=last.wire,
                settings=last.settings,
            )
        )
