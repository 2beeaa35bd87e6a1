"""What the model is shown: what fits, in order, and a summary of the rest."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.errors import ProviderUnavailable
from chat.events import JSONObject, UsageReported
from chat.messages import MessageDraft
from chat.providers.base import ModelMessage, ModelRequest, UsageReport
from chat.providers.scripted import Line, ScriptedProvider
from chat.requests import TurnRequest
from chat.store.conversation_store import SessionChanges
from chat.tokens import TokenScale, estimate_tokens
from chat.turns.window import CUT, SUMMARY_USUAL, fit
from tests.support.memory.store import MemoryStore
from tests.support.turns import CountingIds, ask, make_engine, make_runner, read
from tests.support.virtual_time import VirtualClock, virtual


def said(*texts: str) -> list[list[ModelMessage]]:
    return [[ModelMessage("user", text)] for text in texts]


def texts(groups: Sequence[Sequence[ModelMessage]]) -> list[str]:
    return [each.content for group in groups for each in group]


def tokens(groups: Sequence[Sequence[ModelMessage]]) -> int:
    return estimate_tokens(*texts(groups))


@given(st.lists(st.integers(0, 60)), st.integers(1, 100))
def test_the_newest_that_fit_are_kept_in_order(sizes: list[int], limit: int) -> None:
    groups = said(*(f"{number} " * size for number, size in enumerate(sizes)))
    kept = fit(groups, limit)
    assert len(kept) >= bool(groups)
    assert kept[:-1] == groups[len(groups) - len(kept) : -1]
    assert sum(tokens([each]) for each in kept[:-1]) <= limit
    if len(kept) < len(groups):
        assert sum(tokens([each]) for each in groups[len(groups) - len(kept) - 1 :]) > limit


@given(st.text(min_size=1, max_size=5000), st.integers(20, 200))
def test_one_message_that_is_too_long_loses_its_middle(text: str, limit: int) -> None:
    [[shown]] = fit(said(text), limit)
    assert shown.content == text or CUT in shown.content
    assert estimate_tokens(shown.content) <= max(limit, estimate_tokens(CUT) + 1)


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    [[shown]] = fit(said("begin " + "x " * 5000 + "end"), 100)
    assert shown.content.startswith("begin ") and shown.content.endswith(" end")


def test_estimates_follow_what_services_report() -> None:
    scale = TokenScale()
    for _ in range(20):
        scale.learn("m", estimated=100, reported=150)
    assert scale.of("m") == pytest.approx(1.5, abs=0.01)
    scale.learn("m", estimated=1, reported=10_000)
    assert scale.of("m") < 2
    assert scale.of("other") == 1.0


class Conversation:
    """One session, and the requests that its model got."""

    def __init__(self, *, limit: int, history: int = 50, summaries: list[object] | None = None) -> None:
        self.store = MemoryStore(VirtualClock())
        self.summaries = 0
        self.failing = False

        def answer(request: ModelRequest) -> list[object]:
            if "Summarise" in request.messages[-1].content:
                self.summaries += 1
                return [ProviderUnavailable()] if self.failing else [0.5, f"summary {self.summaries}"]
            return ["an answer of some words"]

        self.provider = ScriptedProvider(answer)  # type: ignore[arg-type]
        engine = make_engine(self.provider, self.store, limit=limit, history=history)
        self.runner = make_runner(store=self.store, sources={"": engine})
        self.session_id = ""

    async def say(self, text: str, **settings: object) -> ModelRequest:
        """Say it and wait for the answer: what the model was asked."""
        request = replace(ask(text, session_id=self.session_id), settings=settings)  # type: ignore[arg-type]
        live = await self.runner.start(request)
        await read(live.feed)
        self.session_id = live.turn.session_id
        return next(
            each for each in reversed(self.provider.requests) if "Summarise" not in each.messages[-1].content
        )


@virtual
async def test_what_does_not_fit_is_summarised_once_and_shown_instead() -> None:
    talk = Conversation(limit=120)
    for number in range(30):
        await talk.say(f"message {number} with ten more words to make it longer than a few")
        await asyncio.sleep(1)
    session = await talk.store.get_session("ann", talk.session_id)
    assert session.summary.startswith("summary ")
    assert 2 <= talk.summaries <= 15  # not with every turn
    request = await talk.say("and now?")
    assert f"summary {talk.summaries}" in request.messages[0].content
    assert request.messages[-1].content == "and now?"
    assert request.estimated_tokens <= 150


@virtual
async def test_the_first_word_does_not_wait_for_a_summary() -> None:
    talk = Conversation(limit=60)
    loop = asyncio.get_running_loop()
    for number in range(10):
        began = loop.time()
        await talk.say(f"message {number} " + "word " * 20)
        assert loop.time() - began < 0.3
    await asyncio.sleep(1)
    assert talk.summaries


@virtual
async def test_a_summary_that_fails_leaves_the_window_cut() -> None:
    talk = Conversation(limit=60)
    talk.failing = True
    for number in range(10):
        request = await talk.say(f"message {number} " + "word " * 20)
        await asyncio.sleep(1)
    assert request.messages[-1].content.startswith("message 9")
    assert (await talk.store.get_session("ann", talk.session_id)).summary == ""


@virtual
async def test_many_short_messages_are_summarised_too() -> None:
    talk = Conversation(limit=100_000, history=10)
    for number in range(12):
        await talk.say(str(number))
        await asyncio.sleep(1)
    session = await talk.store.get_session("ann", talk.session_id)
    assert session.summary_until >= 4


@virtual
async def test_answers_that_said_nothing_take_no_place() -> None:
    talk = Conversation(limit=40)
    for number in range(8):
        await talk.say(f"message {number} with a few more words")
        silent = MessageDraft("assistant", "")
        await talk.store.append_messages("ann", talk.session_id, [silent] * 3)
        await asyncio.sleep(1)
    request = await talk.say("and now?")
    assert request.messages[-1].content == "and now?"
    assert talk.summaries


@virtual
async def test_a_question_that_the_summary_covers_is_asked_again_as_it_was() -> None:
    talk = Conversation(limit=120)
    for number in range(12):
        await talk.say(f"message {number} with ten more words to make it longer than a few")
        await asyncio.sleep(1)
    session = await talk.store.get_session("ann", talk.session_id)
    [question] = [
        each
        for each in await talk.store.list_messages("ann", talk.session_id, limit=50)
        if each.content.startswith("message 2 ")
    ]
    assert question.seq < session.summary_until
    summaries = talk.summaries
    await read((await talk.runner.start(replace(ask(session_id=session.id), message_id=question.id))).feed)
    await asyncio.sleep(1)
    request = talk.provider.requests[-1]
    assert request.messages[0] == ModelMessage("system", "Be brief.")
    assert request.messages[-1] == ModelMessage("user", question.content)
    later = await talk.store.get_session("ann", session.id)
    assert (talk.summaries, later.summary_until) == (summaries, session.summary_until)


@virtual
async def test_the_question_right_behind_the_summary_is_asked_with_it() -> None:
    talk = Conversation(limit=1000)
    for number in range(4):
        await talk.say(f"message {number}")
    messages = await talk.store.list_messages("ann", talk.session_id, limit=50)
    for until, summary in ((3, "until 3"), (4, "until 4"), (5, "")):
        changes = SessionChanges(summary=f"until {until}", summary_until=until)
        await talk.store.update_session("ann", talk.session_id, changes)
        again = replace(ask(session_id=talk.session_id), message_id=messages[4].id)
        await read((await talk.runner.start(again)).feed)
        request = talk.provider.requests[-1]
        assert request.messages[-1].content == "message 2"
        assert (summary or "Be brief.") in request.messages[0].content
        assert ("What was said before" in request.messages[0].content) == bool(summary)


@pytest.mark.parametrize(("pause", "cost"), [(0.1, UsageReported(70, 9)), (5.0, None)])
def test_a_summary_counts_for_the_turn_beside_which_it_was_made(
    pause: float, cost: UsageReported | None
) -> None:
    @virtual
    async def test() -> None:
        store = MemoryStore(VirtualClock())

        def answer(request: ModelRequest) -> list[Line]:
            if "Summarise" in request.messages[-1].content:
                return [pause, "in short", UsageReport(70, 9)]
            return [1.0, "an answer", UsageReport(10, 2)]

        provider = ScriptedProvider(answer)
        runner = make_runner(store=store, sources={"": make_engine(provider, store, limit=60)})
        session, used = "", []
        for number in range(4):
            live = await runner.start(ask(f"message {number} " + "word " * 20, session_id=session))
            found = await read(live.feed)
            session = live.turn.session_id
            turn = await store.get_turn("ann", live.turn.id)
            reported = [each.event for each in found if isinstance(each.event, UsageReported)]
            assert turn.usage is not None
            assert turn.usage.prompt_tokens == sum(each.prompt_tokens for each in reported)
            used += [each for each in reported if each != UsageReported(10, 2)]
            await asyncio.sleep(10)
        summaries = [each for each in provider.requests if "Summarise" in each.messages[-1].content]
        assert summaries
        estimates = [
            UsageReported(each.estimated_tokens, SUMMARY_USUAL, estimated=True) for each in summaries
        ]
        assert used == ([cost] * len(summaries) if cost else estimates)

    test()


@virtual
async def test_settings_of_the_session_and_of_the_turn_reach_the_model() -> None:
    talk = Conversation(limit=1000)
    await talk.say("Hello")
    settings: JSONObject = {"temperature": 0.2, "top_p": 0.9, "system_prompt": "Be rude.", "max_tokens": 9}
    changes = SessionChanges(settings=settings, llm_provider="SCRIPTED", llm_model="big")
    await talk.store.update_session("ann", talk.session_id, changes)
    request = await talk.say("Again", temperature=1.5)
    assert (request.temperature, request.top_p, request.max_tokens) == (1.5, 0.9, 9)
    assert (request.provider, request.model) == ("SCRIPTED", "big")
    assert request.messages[0] == ModelMessage("system", "Be rude.")


@virtual
async def test_reported_usage_makes_the_window_smaller_where_estimates_were_low() -> None:
    store = MemoryStore(VirtualClock())
    provider = ScriptedProvider(["x", UsageReport(1000, 1)])
    engine = make_engine(provider, store, limit=1000)
    runner = make_runner(store=store, sources={"": engine})
    session = ""
    for _ in range(6):
        live = await runner.start(TurnRequest("ann", content="word " * 100, session_id=session))
        await read(live.feed)
        session = live.turn.session_id
    assert provider.requests[-1].estimated_tokens < 1000 / 2
    assert CountingIds().new()
