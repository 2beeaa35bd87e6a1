"""One instance: starting, following, stopping, failing, and what is stored at the end."""

import asyncio

import pytest

from chat import events
from chat.errors import (
    EventsGone,
    ProviderRateLimited,
    ProviderUnavailable,
    SessionNotFound,
    ShuttingDown,
    StoreUnavailable,
    TurnInProgress,
    TurnNotFound,
    ValidationError,
)
from chat.events import TERMINAL_NUMBER
from chat.messages import MessageDraft
from chat.providers.base import ReasoningPiece, StopReason, TextPiece, ToolCallPiece, UsageReport
from chat.providers.scripted import Line, ScriptedProvider
from chat.requests import TurnRequest
from chat.store.conversation_store import SessionDraft
from chat.store.turn_store import StartedTurn, TurnDraft
from chat.turns.log import MAX_ANSWER
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, kinds, last, lines, make_runner, read, text_of, words
from tests.support.virtual_time import VirtualClock, virtual

NEW_SESSION = "0" * 25 + "A"


def memory() -> MemoryStore:
    return MemoryStore(VirtualClock())


@virtual
async def test_a_turn_is_streamed_and_then_stored() -> None:
    store = memory()
    runner = make_runner(["Hel", "lo", UsageReport(3, 2)], store=store)
    live = await runner.start(ask("Hi"))
    said = await read(live.feed)
    assert kinds(said) == [
        "TurnStarted", "StepStarted", "TextStarted", "TextDelta", "TextDelta", "TextFinished",
        "UsageReported", "StepFinished", "TurnFinished",
    ]  # fmt: skip
    user, assistant = await store.list_messages("ann", live.turn.session_id, limit=10)
    assert (user.role, user.content, user.author) == ("user", "Hi", "ann")
    assert (assistant.id, assistant.content, assistant.status) == (live.turn.id, "Hello", "complete")
    assert (assistant.llm_provider, assistant.llm_model, assistant.tokens_used) == (
        "SCRIPTED",
        "scripted-1",
        5,
    )
    turn = await store.get_turn("ann", live.turn.id)
    assert (turn.state, turn.last_event, turn.error) == ("finished", TERMINAL_NUMBER, None)
    assert await store.read_events(turn) == said
    assert (await store.get_session("ann", turn.session_id)).running_turn == ""


@virtual
async def test_the_end_is_shown_only_after_it_is_stored() -> None:
    store = memory()
    gate = asyncio.Event()
    live = await make_runner(["Hello", gate], store=store).start(ask())
    await read(live.feed, until=4)
    store.freeze()
    gate.set()
    await asyncio.sleep(5)
    assert not live.feed.ended
    store.thaw()
    await read(live.feed)
    assert (await store.get_turn("ann", live.turn.id)).state == "finished"


@virtual
async def test_the_model_is_asked_while_the_start_is_being_stored() -> None:
    store = memory()
    provider = ScriptedProvider(["Hello"])
    runner = make_runner(store=store, provider=provider)
    session = await store.create_session("ann", SessionDraft(NEW_SESSION))
    store.fail_next("start_turn", StoreUnavailable())
    with pytest.raises(StoreUnavailable):
        await runner.start(ask(session_id=session.id))
    assert len(provider.requests) == 1
    assert provider.open_streams == 0
    assert await store.list_messages("ann", session.id, limit=10) == []


@virtual
async def test_the_model_is_shown_the_prompt_and_the_conversation_so_far() -> None:
    store = memory()
    provider = ScriptedProvider(["One"], ["Two"])
    runner = make_runner(store=store, provider=provider)
    first = await runner.start(ask("A?"))
    await read(first.feed)
    second = await runner.start(ask("B?", session_id=first.turn.session_id))
    await read(second.feed)
    shown = [(each.role, each.content) for each in provider.requests[1].messages]
    assert shown == [("system", "Be brief."), ("user", "A?"), ("assistant", "One"), ("user", "B?")]


@virtual
async def test_a_new_session_begins_with_the_history_that_was_given() -> None:
    store = memory()
    history = (MessageDraft("user", "A?", author="ann"), MessageDraft("assistant", "One"))
    runner = make_runner(["Two"], store=store)
    live = await runner.start(TurnRequest("ann", content="B?", history=history))
    await read(live.feed)
    stored = await store.list_messages("ann", live.turn.session_id, limit=10)
    assert [each.content for each in stored] == ["A?", "One", "B?", "Two"]


@virtual
async def test_a_stored_message_is_answered_without_being_stored_again() -> None:
    store = memory()
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    [asked] = await store.append_messages("ann", NEW_SESSION, [MessageDraft("user", "A?", author="ann")])
    runner = make_runner(["One"], store=store)
    live = await runner.start(TurnRequest("ann", message_id=asked.id, session_id=NEW_SESSION))
    await read(live.feed)
    stored = await store.list_messages("ann", NEW_SESSION, limit=10)
    assert [each.content for each in stored] == ["A?", "One"]
    with pytest.raises(ValidationError):
        await runner.start(TurnRequest("ann", message_id=live.turn.id, session_id=NEW_SESSION))


@virtual
async def test_a_caller_that_leaves_changes_nothing() -> None:
    store = memory()
    runner = make_runner(lines(50, 0.1), store=store)
    live = await runner.start(ask())
    await read(live.feed, until=10)
    await asyncio.sleep(10)
    [_, assistant] = await store.list_messages("ann", live.turn.session_id, limit=10)
    assert (assistant.status, assistant.content) == ("complete", words(50))
    assert runner.running == 0


@virtual
async def test_a_caller_that_leaves_while_the_turn_is_stored_changes_nothing() -> None:
    store = memory()
    runner = make_runner(["Hello"], store=store)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    starting = asyncio.create_task(runner.start(ask(session_id=NEW_SESSION)))
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.sleep(1)
    stored = await store.list_messages("ann", NEW_SESSION, limit=10)
    assert [each.content for each in stored] == ["Hello", "Hello"]


@virtual
async def test_following_after_every_event_gives_the_same_text_while_it_runs_and_afterwards() -> None:
    store = memory()
    runner = make_runner(lines(20, 0.1), store=store)
    live = await runner.start(ask())
    followers = [asyncio.create_task(read(live.feed, after=after)) for after in range(25)]
    whole = await read(live.feed)
    assert text_of(whole) == words(20)
    await asyncio.sleep(1)
    for after, follower in enumerate(followers):
        expected = [each for each in whole if each.number > after]
        assert await follower == expected
        again = await runner.open("ann", live.turn.id)
        assert await read(again.feed, after=after) == expected


@virtual
async def test_cancel_closes_the_model_and_keeps_what_was_said() -> None:
    store = memory()
    provider = ScriptedProvider(lines(100, 0.1))
    runner = make_runner(store=store, provider=provider)
    live = await runner.start(ask())
    await read(live.feed, until=8)
    turn = await runner.cancel("ann", live.turn.id)
    assert turn.state == "cancelled"
    assert provider.open_streams == 0
    said = await read(live.feed)
    assert kinds(said)[-3:] == ["TextFinished", "StepFinished", "TurnCancelled"]
    message = await store.get_message("ann", turn.id)
    assert (message.status, message.content) == ("cancelled", text_of(said))
    assert (await runner.cancel("ann", turn.id)) == turn


@virtual
async def test_cancel_before_the_first_word_ends_the_turn_too() -> None:
    store = memory()
    runner = make_runner([100.0, "late"], store=store)
    live = await runner.start(ask())
    assert (await runner.cancel("ann", live.turn.id)).state == "cancelled"
    assert kinds(await read(live.feed)) == ["TurnStarted", "TurnCancelled"]


@virtual
async def test_a_model_that_fails_first_leaves_the_users_message_and_a_failed_turn() -> None:
    store = memory()
    runner = make_runner([ProviderRateLimited(retry_after=7)], store=store)
    live = await runner.start(ask("Hi"))
    failed = await live.feed.opening(10)
    assert failed == events.TurnFailed(
        "MODEL_RATE_LIMITED", "The model service is at its limit.", True, 429, 7
    )
    user, assistant = await store.list_messages("ann", live.turn.session_id, limit=10)
    assert (user.content, assistant.status, assistant.content) == ("Hi", "failed", "")
    assert assistant.error_message == "The model service is at its limit."


@virtual
async def test_a_model_that_breaks_in_the_middle_closes_the_text_before_the_error() -> None:
    store = memory()
    live = await make_runner(["Hel", ProviderUnavailable()], store=store).start(ask())
    said = await read(live.feed)
    assert kinds(said)[-3:] == ["TextFinished", "StepFinished", "TurnFailed"]
    assert await live.feed.opening(0) is None
    message = await store.get_message("ann", live.turn.id)
    assert (message.status, message.content) == ("failed", "Hel")


@virtual
async def test_the_text_of_a_bug_is_not_shown() -> None:
    store = memory()
    live = await make_runner(["Hel", RuntimeError("secret")], store=store).start(ask())
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert (failed.code, "secret" in failed.message) == ("INTERNAL", False)


@virtual
async def test_reasoning_text_and_calls_become_bracketed_parts() -> None:
    store = memory()
    script = [
        ReasoningPiece("hm"), "So: ", ToolCallPiece(0, "c1", "now", "{"), ToolCallPiece(0, arguments="}"),
        ToolCallPiece(1, "c2", "now"), TextPiece("done"),
    ]  # fmt: skip
    live = await make_runner(script, store=store).start(ask())
    said = kinds(await read(live.feed))
    assert said[2 : said.index("ToolOutput")] == [
        "ReasoningStarted", "ReasoningDelta", "ReasoningFinished", "TextStarted", "TextDelta", "TextFinished",
        "ToolCallStarted", "ToolCallDelta", "ToolCallDelta", "ToolCallFinished", "ToolCallStarted",
        "ToolCallFinished", "TextStarted", "TextDelta", "TextFinished",
    ]  # fmt: skip


@virtual
async def test_an_empty_answer_is_a_failure_that_says_so() -> None:
    store = memory()
    live = await make_runner([], store=store).start(ask())
    found = await read(live.feed)
    assert kinds(found) == ["TurnStarted", "StepStarted", "StepFinished", "TurnFailed"]
    assert last(found).code == "MODEL_NO_ANSWER"  # type: ignore[union-attr]
    turn = await store.get_turn("ann", live.turn.id)
    assert [each["outcome"] for each in turn.attempts] == ["MODEL_NO_ANSWER"]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_an_answer_that_was_cut_says_so_for_good(reason: str) -> None:
    @virtual
    async def test() -> None:
        store = memory()
        script: list[Line] = ["half of it", StopReason(reason), UsageReport(9, 2)]  # type: ignore[arg-type]
        live = await make_runner(script, store=store).start(ask())
        await read(live.feed)
        answer = (await store.list_messages("ann", live.turn.session_id, limit=9))[-1]
        assert (answer.status, answer.content) == ("complete", "half of it")
        assert answer.metadata == ({} if reason == "stop" else {"finish_reason": reason})

    test()


@virtual
async def test_an_endless_answer_is_ended_by_the_limit_of_a_turn() -> None:
    store = memory()
    provider = ScriptedProvider(lines(10_000, 1.0))
    live = await make_runner(store=store, provider=provider, turn_limit=60).start(ask())
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert failed.code == "TURN_TIMED_OUT"
    assert provider.open_streams == 0


@virtual
async def test_an_answer_that_never_stops_growing_is_ended() -> None:
    store = memory()
    provider = ScriptedProvider(["x" * 1024 * 1024] * 20)
    live = await make_runner(store=store, provider=provider).start(ask())
    failed = last(await read(live.feed))
    assert isinstance(failed, events.TurnFailed)
    assert failed.code == "ANSWER_TOO_LARGE"
    assert len((await store.get_message("ann", live.turn.id)).content) == MAX_ANSWER
    assert provider.open_streams == 0


@virtual
async def test_a_second_turn_in_a_busy_session_is_refused_and_stores_nothing() -> None:
    store = memory()
    runner = make_runner([5.0, "Hello"], store=store)
    live = await runner.start(ask("A?"))
    with pytest.raises(TurnInProgress) as refused:
        await runner.start(ask("B?", session_id=live.turn.session_id))
    assert refused.value.turn_id == live.turn.id
    assert len(await store.list_messages("ann", live.turn.session_id, limit=10)) == 2


@virtual
async def test_of_twenty_parallel_starts_one_runs_and_the_models_of_the_others_are_closed() -> None:
    store = memory()
    provider = ScriptedProvider(lines(10, 0.2))
    runners = [make_runner(store=store, provider=provider) for _ in range(2)]
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    starts = [runner.start(ask(f"{n}", session_id=NEW_SESSION)) for runner in runners for n in range(10)]
    results = await asyncio.gather(*starts, return_exceptions=True)
    started = [each for each in results if not isinstance(each, BaseException)]
    assert len(started) == 1
    assert sum(isinstance(each, TurnInProgress) for each in results) == 19
    assert provider.open_streams == 1
    await read(started[0].feed)
    assert len(await store.list_messages("ann", NEW_SESSION, limit=50)) == 2


class OvertakenStore(MemoryStore):
    """Somebody else's message lands just before the first turn does."""

    async def start_turn(self, draft: TurnDraft) -> StartedTurn:
        if self.calls["start_turn"] == 0:
            await self.append_messages("ann", NEW_SESSION, [MessageDraft("user", "A?", author="bob")])
        return await super().start_turn(draft)


@virtual
async def test_a_message_that_came_in_between_is_part_of_what_the_model_is_shown() -> None:
    store = OvertakenStore(VirtualClock())
    provider = ScriptedProvider(["Hello"])
    runner = make_runner(store=store, provider=provider)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    live = await runner.start(ask("B?", session_id=NEW_SESSION))
    await read(live.feed)
    stored = await store.list_messages("ann", NEW_SESSION, limit=10)
    assert [each.content for each in stored] == ["A?", "B?", "Hello"]
    assert [each.content for each in provider.requests[-1].messages] == ["Be brief.", "A?", "B?"]
    assert provider.open_streams == 0


@virtual
async def test_a_repeated_request_gets_the_turn_that_is_there() -> None:
    store = memory()
    provider = ScriptedProvider(lines(10, 0.1))
    runner = make_runner(store=store, provider=provider)
    await store.create_session("ann", SessionDraft(NEW_SESSION))
    first = await runner.start(ask("A?", session_id=NEW_SESSION, nonce="key"))
    again = await runner.start(ask("A?", session_id=NEW_SESSION, nonce="key"))
    assert again.turn.id == first.turn.id
    assert again.feed is first.feed
    await read(first.feed)
    late = await runner.start(ask("A?", session_id=NEW_SESSION, nonce="key"))
    assert await read(late.feed) == first.feed.events
    assert len(provider.requests) == 1


@virtual
async def test_strangers_see_nothing() -> None:
    store = memory()
    runner = make_runner(["Hello"], store=store)
    live = await runner.start(ask())
    await read(live.feed)
    with pytest.raises(TurnNotFound):
        await runner.open("eve", live.turn.id)
    with pytest.raises(TurnNotFound):
        await runner.cancel("eve", live.turn.id)
    with pytest.raises(SessionNotFound):
        await runner.start(ask(session_id=live.turn.session_id, user_id="eve"))


@virtual
async def test_the_text_so_far_is_known_while_a_turn_runs() -> None:
    store = memory()
    runner = make_runner(lines(100, 0.1), store=store)
    live = await runner.start(ask())
    await read(live.feed, until=8)
    assert await runner.text_so_far("ann", live.turn.id) == words(5)
    assert (await runner.look("ann", live.turn.id)).last_event == 8


@virtual
async def test_purged_events_are_gone_but_the_message_stays() -> None:
    store = memory()
    runner = make_runner(["Hello"], store=store)
    live = await runner.start(ask())
    await read(live.feed)
    await store.purge_events(ended_before=VirtualClock(3600).now())
    with pytest.raises(EventsGone):
        await runner.open("ann", live.turn.id)
    assert (await store.get_message("ann", live.turn.id)).content == "Hello"


@virtual
async def test_deleting_a_session_stops_its_turn_first() -> None:
    store = memory()
    provider = ScriptedProvider(lines(100, 0.1))
    runner = make_runner(store=store, provider=provider)
    live = await runner.start(ask())
    await read(live.feed, until=8)
    await runner.delete_session("ann", live.turn.session_id)
    assert provider.open_streams == 0
    assert kinds(await read(live.feed))[-1] == "TurnCancelled"
    with pytest.raises(SessionNotFound):
        await runner.delete_session("ann", live.turn.session_id)


@virtual
async def test_a_shutdown_ends_turns_as_interrupted_and_takes_no_new_ones() -> None:
    store = memory()
    provider = ScriptedProvider(lines(100, 0.1))
    runner = make_runner(store=store, provider=provider)
    live = await runner.start(ask())
    await read(live.feed, until=8)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await runner.drain()
    assert loop.time() - began < 3
    said = await read(live.feed)
    failed = last(said)
    assert isinstance(failed, events.TurnFailed)
    assert (failed.code, failed.retryable) == ("INTERRUPTED", True)
    message = await store.get_message("ann", live.turn.id)
    assert (message.status, message.content) == ("interrupted", text_of(said))
    assert await store.list_leases() == []
    with pytest.raises(ShuttingDown):
        await runner.start(ask())


@virtual
async def test_nothing_is_asked_of_the_store_while_there_are_no_turns() -> None:
    store = memory()
    runner = make_runner(["Hello"], store=store)
    live = await runner.start(ask())
    await read(live.feed)
    await asyncio.sleep(20)
    before = store.calls.total()
    await asyncio.sleep(600)
    assert store.calls.total() == before
    assert await store.list_leases() == []


@virtual
async def test_a_turn_after_a_pause_gets_a_lease_of_its_own() -> None:
    store = memory()
    runner = make_runner(lines(100, 0.1), store=store)
    first = await runner.start(ask())
    await read(first.feed)
    await asyncio.sleep(30)
    second = await runner.start(ask())
    await read(second.feed)
    assert first.turn.instance_id != second.turn.instance_id
    assert (await store.get_turn("ann", second.turn.id)).state == "finished"
