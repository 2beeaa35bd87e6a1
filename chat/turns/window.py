"""What the model is shown of a conversation: what fits its limit, and in place of the rest a summary.

The window begins behind what the session's summary covers. When it grows over its limit it is cut, and the older part
of it is summarised in the background, down to half the limit: so that happens once in many turns, and no first word
waits for it (docs/decisions/0013).
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace

from chat.calls import ToolDefinition
from chat.errors import ChatError
from chat.events import UsageReported
from chat.messages import Message, MessageDraft
from chat.providers.base import ModelMessage, ModelProvider, ModelRequest, TextPiece, UsageReport
from chat.store.conversation_store import ConversationStore, SessionChanges
from chat.telemetry import record, record_error
from chat.tokens import TokenScale, estimate_tokens
from chat.turns.base import TurnContext
from chat.turns.tasks import TaskSet
from chat.turns.tool_history import model_messages, standing

SUMMARY_TOKENS = 800  # at most, of a summary
SUMMARY_USUAL = 400  # tokens for which a summary counts that is not there yet when its turn ends
SUMMARY_TIMEOUT = 60.0  # seconds that one may take
KEPT = 0.5  # the part of the limit that is left of a conversation when the rest is summarised
CUT = "\n[... the middle of this message was left out ...]\n"
SUMMARISE = (
    "Summarise the conversation so far for yourself, so that you can go on without seeing it: who wants what, facts, "
    "names, numbers, decisions and open questions. Write at most 300 words and nothing else."
)
SUMMARY = "{prompt}\n\nWhat was said before, in short:\n{summary}"


class ContextWindow:
    """Makes the model's request for a turn, and keeps the session's summary."""

    def __init__(
        self,
        provider: ModelProvider,
        conversations: ConversationStore,
        *,
        system_prompt: str,
        limit: int,  # tokens
        history: int,  # messages that a turn is given at most
    ) -> None:
        self._provider = provider
        self._conversations = conversations
        self._system_prompt = system_prompt
        self._limit = limit
        self._history = history
        self._tasks = TaskSet()
        self._summarising: set[str] = set()
        self.scale = TokenScale()

    def request(self, context: TurnContext, tools: tuple[ToolDefinition, ...] = ()) -> ModelRequest:
        """The model call that answers the last message, with the settings of the session and the turn."""
        settings = context.settings
        prompt = str(settings.get("system_prompt") or self._system_prompt)
        summary, after = _summary_before(context)
        if summary:
            prompt = SUMMARY.format(prompt=prompt, summary=summary)
        live = [each for each in standing(context.messages) if _seq(each) > after and model_messages(each)]
        limit = int(self._limit / self.scale.of(context.model)) - estimate_tokens(prompt)
        shown = fit([model_messages(each) for each in live], limit)
        full = len(shown) < len(live) or len(live) >= self._history
        if (
            full and after == context.session.summary_until
        ):  # an older summary would take the place of a newer one
            self._summarise_older(context, live, limit)
        return ModelRequest(
            messages=(ModelMessage("system", prompt), *(each for group in shown for each in group)),
            model=context.model,
            provider=context.provider,
            tools=tools,
            temperature=_number(settings.get("temperature")),
            top_p=_number(settings.get("top_p")),
            max_tokens=int(most) if (most := _number(settings.get("max_tokens"))) else None,
            response_schema=context.request.options.response_schema,
            options=context.request.options,
            blamed=context.blamed,
        )

    async def aclose(self) -> None:
        """Give up what is being summarised."""
        await self._tasks.close()

    def _summarise_older(
        self, context: TurnContext, live: Sequence[Message | MessageDraft], limit: int
    ) -> None:
        """Have everything summarised but the newest part, unless that is being done already."""
        stored = [each for each in live if isinstance(each, Message)]
        kept = fit([model_messages(each) for each in stored], int(limit * KEPT), most=self._history // 2)
        older = stored[: len(stored) - len(kept)]
        if older and context.session.id not in self._summarising:
            self._summarising.add(context.session.id)
            self._tasks.spawn(self._summarised(context, older))

    async def _summarised(self, context: TurnContext, older: Sequence[Message]) -> None:
        session = context.session
        try:
            async with asyncio.timeout(SUMMARY_TIMEOUT):
                summary = await self._ask_for_summary(context, older)
            if summary:
                changes = SessionChanges(summary=summary, summary_until=older[-1].seq)
                await self._conversations.update_session(session.user_id, session.id, changes)
                record("session_summarised", session_id=session.id, until=older[-1].seq)
        except (ChatError, TimeoutError) as error:
            context.spent.clear()
            record_error("summary_failed", error, session_id=session.id)
        finally:
            self._summarising.discard(session.id)

    async def _ask_for_summary(self, context: TurnContext, older: Sequence[Message]) -> str:
        before = [ModelMessage("system", context.session.summary)] if context.session.summary else []
        groups = fit([model_messages(each) for each in older], max(self._limit - SUMMARY_TOKENS, 0))
        shown = (each for group in groups for each in group)
        request = ModelRequest(
            messages=(*before, *shown, ModelMessage("user", SUMMARISE)),
            model=context.model,
            provider=context.provider,
            max_tokens=SUMMARY_TOKENS,
            blamed=context.blamed,
        )
        cost = UsageReported(request.estimated_tokens, SUMMARY_USUAL, estimated=True)
        context.spent.append(cost)
        said: list[str] = []
        async with aclosing(self._provider.stream(request)) as pieces:
            async for piece in pieces:
                if isinstance(piece, TextPiece):
                    said.append(piece.text)
                elif isinstance(piece, UsageReport) and cost in context.spent:
                    context.spent[:] = [UsageReported(piece.prompt_tokens, piece.completion_tokens)]
        return "".join(said).strip()


def _summary_before(context: TurnContext) -> tuple[str, int]:
    """What was said before the question in short, and the number of the last message that this covers. A summary that
    covers the question is of no use: it would stand for the question, and tell the answer that is made anew."""
    session = context.session
    covered = bool(context.messages) and _seq(context.messages[-1]) <= session.summary_until
    return ("", 0) if covered else (session.summary, session.summary_until)


def fit(
    groups: Sequence[Sequence[ModelMessage]], limit: int, *, most: int | None = None
) -> list[Sequence[ModelMessage]]:
    """The newest groups that have at most `limit` tokens together, and are at most so many. The newest is always
    there: when it is too long by itself, its longest message is cut in the middle."""
    kept: list[Sequence[ModelMessage]] = []
    left = limit
    for group in reversed(groups):
        size = _tokens(group)
        if kept and (size > left or (most is not None and len(kept) >= most)):
            break
        kept.append(group if size <= left else _cut(group, max(left, 1)))
        left -= size
    return kept[::-1]


def _cut(group: Sequence[ModelMessage], limit: int) -> list[ModelMessage]:
    """The group with its longest message shortened until it has at most `limit` tokens."""
    longest = max(group, key=lambda each: estimate_tokens(each.content))
    others = _tokens([each for each in group if each is not longest])
    text, part = longest.content, 1.0
    while estimate_tokens(text) > max(limit - others, 1) and part > 0.0001:
        part *= 0.8
        half = int(len(longest.content) * part / 2)
        text = longest.content[:half] + CUT + longest.content[len(longest.content) - half :]
    return [replace(each, content=text) if each is longest else each for each in group]


def _tokens(group: Sequence[ModelMessage]) -> int:
    calls = (call.arguments for each in group for call in each.tool_calls)
    return estimate_tokens(*(each.content for each in group), *calls)


def _seq(message: Message | MessageDraft) -> float:
    return message.seq if isinstance(message, Message) else float("inf")


def _number(value: object) -> float | None:
    """A number of the settings; older sessions may hold anything."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
