"""Limits of users, over several instances that share one store: who is let in, what it costs, what is never spent."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chat.conversation import Session
from chat.errors import BudgetSpent, ChatError, LimitReached, RateLimited, StoreUnavailable
from chat.events import TurnFailed
from chat.messages import Message, Usage
from chat.providers.base import UsageReport
from chat.providers.scripted import Script
from chat.quotas import Quota, Rate
from chat.requests import TurnRequest
from chat.store.conversation_store import SessionDraft, Waits
from chat.store.limit_store import EVERYBODY, Account, Override, Spent
from chat.turns.feed import LiveTurn
from chat.turns.shared_budget import LEAST
from tests.support.apps import TestApp, make_app
from tests.support.memory.limits import MemoryLimits
from tests.support.memory.store import MemoryStore
from tests.support.turns import ask, last, lines, read, text_of
from tests.support.virtual_time import VirtualClock, virtual

TODAY = "20261120"
NEVER = "10/100000000"  # ten, and no more while a test runs
ANSWER = ["Hi", UsageReport(30, 20)]


class Instances:
    """Processes that share a store, its accounts among it."""

    def __init__(self, *scripts: Script, count: int = 1, skew: float = 0.0, **settings: str) -> None:
        clock = VirtualClock(skew)
        self.store, self.limits = MemoryStore(clock), MemoryLimits(clock)
        named = {f"CHAT_{name}": value for name, value in settings.items()}
        self.apps = [
            make_app(*scripts, settings=named, store=self.store, clock=clock, limits=self.limits)
            for _ in range(count)
        ]

    @property
    def first(self) -> TestApp:
        return self.apps[0]

    @property
    def asked(self) -> int:
        """How many model calls were made."""
        return sum(len(each.provider.requests) for each in self.apps)

    async def all_ask(self, count: int, user_id: str = "ann") -> list[LiveTurn | Waits | ChatError]:
        """So many requests at the same moment, at the instances in turn."""
        apps = [self.apps[number % len(self.apps)].app for number in range(count)]
        asking = (app.ask(ask(user_id=user_id), usual="reject") for app in apps)
        return await asyncio.gather(*asking, return_exceptions=True)  # type: ignore[return-value]

    async def close(self) -> None:
        for each in self.apps:
            await each.app.close()

    def spent(self, user_id: str = "ann") -> Spent:
        return self.limits.accounts[user_id].spent[TODAY]


def let_in(outcomes: Sequence[Any]) -> list[LiveTurn]:
    return [each for each in outcomes if isinstance(each, LiveTurn)]


def refused(outcomes: Sequence[Any]) -> list[LimitReached]:
    return [each for each in outcomes if isinstance(each, LimitReached)]


@virtual
async def test_of_fifty_requests_at_two_instances_a_bucket_of_ten_lets_ten_in() -> None:
    here = Instances(ANSWER, count=2, LIMIT_REQUESTS=NEVER)
    outcomes = await here.all_ask(50)
    assert (len(let_in(outcomes)), len(refused(outcomes)), here.asked) == (10, 40, 10)
    assert all(isinstance(each, RateLimited) for each in refused(outcomes))
    assert here.limits.accounts["ann"].left == pytest.approx(0, abs=1e-3)
    await here.close()


@virtual
async def test_requests_of_one_user_that_meet_share_one_batch() -> None:
    here = Instances(ANSWER, LIMIT_REQUESTS="100/60", BUDGET_TOKENS_PER_USER="1000000")
    await here.all_ask(1)
    here.limits.calls.clear()
    assert len(let_in(await here.all_ask(40))) == 40
    assert here.limits.calls == {"save_account": 1}
    await here.close()


@virtual
async def test_a_bucket_fills_again_with_time() -> None:
    here = Instances(ANSWER, LIMIT_REQUESTS="2/10")
    assert len(let_in(await here.all_ask(3))) == 2
    [error] = refused(await here.all_ask(1))
    assert error.retry_after and error.standing and error.standing.requests == Quota(2, 0, 10, 5, 10)
    await asyncio.sleep(error.retry_after)
    assert len(let_in(await here.all_ask(2))) == 1
    await here.close()


@virtual
async def test_a_flood_of_refused_requests_costs_a_read_a_second() -> None:
    here = Instances(ANSWER, LIMIT_REQUESTS="1/1000")
    await here.all_ask(1)
    here.limits.calls.clear()
    for _ in range(40):
        assert len(refused(await here.all_ask(5))) == 5
        await asyncio.sleep(0.1)
    assert here.limits.calls["save_account"] == 0
    assert here.limits.calls["load_account"] <= 5
    await here.close()


@virtual
async def test_without_limits_nothing_is_asked() -> None:
    here = Instances(ANSWER)
    [live] = let_in(await here.all_ask(1))
    await read(live.feed)
    await here.close()
    assert live.standing is None and not here.limits.calls


@virtual
async def test_who_is_let_in_learns_how_the_limits_stand() -> None:
    here = Instances(ANSWER, LIMIT_REQUESTS="10/60", BUDGET_TOKENS_PER_USER="5000")
    [live] = let_in(await here.all_ask(1))
    assert live.standing and live.standing.requests == Quota(10, 9, 60, 6, 6)
    assert live.standing.tokens and (live.standing.tokens.limit, live.standing.tokens.left) == (5000, 4000)
    await here.close()


@virtual
async def test_what_a_turn_really_used_is_settled_soon_after_it() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="5000")
    [live] = let_in(await here.all_ask(1))
    assert here.spent() == Spent(0, 1000)
    await read(live.feed)
    await asyncio.sleep(1)
    assert here.spent() == Spent(50, 0)
    assert len(let_in(await here.all_ask(1))) == 1
    assert here.spent() == Spent(50, 500)  # about as much as the turn before
    await here.close()


@virtual
async def test_turns_that_end_together_are_settled_in_one_batch() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="1000000")
    for live in let_in(await here.all_ask(20)):
        await read(live.feed)
    here.limits.calls.clear()
    await asyncio.sleep(2)
    assert here.limits.calls["save_account"] == 1
    assert here.spent() == Spent(20 * 50, 0)
    await here.close()


@virtual
async def test_a_process_that_ends_settles_before() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="5000")
    [live] = let_in(await here.all_ask(1))
    await read(live.feed)
    await here.close()
    assert here.spent() == Spent(50, 0)


WORDS = lines(400, 0.05)


@virtual
async def test_a_budget_that_runs_out_ends_a_turn_which_keeps_what_it_said() -> None:
    here = Instances(WORDS, BUDGET_TOKENS_PER_USER="100")
    [live] = let_in(await here.all_ask(1))
    events = await read(live.feed)
    end = last(events)
    assert isinstance(end, TurnFailed) and (end.code, end.status, end.retryable) == (
        "BUDGET_SPENT",
        429,
        False,
    )
    said = text_of(events)
    assert said.startswith("w1 w2 ") and 60 < len(said.split()) < 77
    turn = await here.store.load_turn(live.turn.id)
    message = await here.store.get_message("ann", turn.id)
    assert (turn.state, message.content, message.status) == ("failed", said, "failed")
    await asyncio.sleep(1)
    assert 90 < here.spent().used <= 100 and here.spent().held == 0
    assert here.first.provider.open_streams == 0
    await here.close()


@virtual
async def test_a_piece_that_the_budget_does_not_hold_is_paid_for_as_far_as_it_goes() -> None:
    here = Instances(["w " * 5000], BUDGET_TOKENS_PER_USER="100")
    [live] = let_in(await here.all_ask(1))
    end = last(await read(live.feed))
    assert isinstance(end, TurnFailed) and end.code == "BUDGET_SPENT"
    await asyncio.sleep(1)
    assert (here.spent().used, here.spent().held) == (100, 0)
    await here.close()


@virtual
async def test_a_long_turn_holds_more_step_by_step_and_is_not_held_up_by_it() -> None:
    here = Instances(lines(1500, 0.01), BUDGET_TOKENS_PER_USER="100000")
    [live] = let_in(await here.all_ask(1))
    assert here.spent() == Spent(0, 1000)
    events = await read(live.feed)
    assert text_of(events).split()[-1] == "w1500"
    assert here.limits.calls["save_account"] == 4  # to begin with, and three steps
    await here.close()
    assert here.spent().held == 0 and 1950 <= here.spent().used < 2000


@virtual
async def test_a_prompt_that_the_budget_does_not_hold_is_not_sent() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="100")
    request = TurnRequest("ann", content="word " * 200)
    live = await here.first.app.ask(request, usual="reject")
    assert isinstance(live, LiveTurn)
    end = last(await read(live.feed))
    assert isinstance(end, TurnFailed) and end.code == "BUDGET_SPENT"
    assert here.asked == 0
    await here.close()


@virtual
async def test_an_empty_budget_refuses_until_the_day_ends() -> None:
    here = Instances(["Hi", UsageReport(600, 400)], BUDGET_TOKENS_PER_USER="1000")
    [live] = let_in(await here.all_ask(1))
    await read(live.feed)
    await asyncio.sleep(1)
    [error] = refused(await here.all_ask(1))
    assert isinstance(error, BudgetSpent) and error.retry_after and 50_000 < error.retry_after < 60_000
    assert here.asked == 1
    await here.close()


@virtual
async def test_a_hundred_parallel_turns_of_one_user_never_go_beyond_their_budget() -> None:
    here = Instances(lines(30, 0.01), count=2, BUDGET_TOKENS_PER_USER="3000")
    turns: list[LiveTurn] = []
    while new := let_in(outcomes := await here.all_ask(100)):
        assert len(outcomes) == len(new) + len(refused(outcomes))
        turns += new
        for live in new:
            await read(live.feed)
        await asyncio.sleep(1)
    await here.close()
    used = sum([_tokens(await here.store.load_turn(each.turn.id)) for each in turns])
    spent = here.spent()  # with the words that did not fit, which the models said all the same
    assert used <= spent.used <= 3000 and spent.held == 0
    assert used > 2990 and len(turns) > 60


def _tokens(turn: Any) -> int:
    usage = turn.usage or Usage()
    return usage.total_tokens


@virtual
async def test_all_users_together_take_at_most_their_budget_and_give_back_what_is_left_of_slices() -> None:
    here = Instances(lines(30, 0.01), count=3, BUDGET_TOKENS="6000")
    outcomes: list[Any] = []
    for number in range(60):
        outcomes += await here.all_ask(3, user_id=f"user{number}")
    for live in let_in(outcomes):
        await read(live.feed)
    assert refused(outcomes)
    used = sum([_tokens(await here.store.load_turn(each.turn.id)) for each in let_in(outcomes)])
    taken = here.spent(EVERYBODY).used
    assert used <= taken <= 6000
    await here.close()
    assert here.spent(EVERYBODY).used == used


@virtual
async def test_a_slice_is_worked_off_without_asking_for_each_turn() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS="10000000")
    await here.all_ask(1)
    here.limits.calls.clear()
    for number in range(20):
        [live] = let_in(await here.all_ask(1, user_id="ann"))
        await read(live.feed)
        await asyncio.sleep(0.6 * (number % 2))
    assert here.limits.calls["save_account"] == 0
    assert here.spent(EVERYBODY).used == max(LEAST, 10_000_000 // 200)
    await here.close()


@virtual
async def test_what_the_store_cannot_say_is_no_yes() -> None:
    here = Instances(ANSWER, LIMIT_REQUESTS="10/60")
    here.limits.fail_next("load_account", StoreUnavailable())
    [error] = await here.all_ask(1)
    assert isinstance(error, StoreUnavailable)
    assert here.asked == 0
    assert len(let_in(await here.all_ask(1))) == 1
    await here.close()


@virtual
async def test_usage_that_cannot_be_noted_is_noted_later() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="5000")
    [live] = let_in(await here.all_ask(1))
    here.limits.fail_next("save_account", StoreUnavailable(), times=3)
    await read(live.feed)
    await asyncio.sleep(60)
    assert here.spent() == Spent(50, 0)
    await here.close()


@virtual
async def test_a_message_that_waits_is_counted_when_it_comes_and_held_for_when_it_is_answered() -> None:
    here = Instances(lines(20, 0.1), LIMIT_REQUESTS=NEVER, BUDGET_TOKENS_PER_USER="50000")
    app, session = here.first.app, "0" * 25 + "A"
    await here.store.create_session("ann", SessionDraft(session))
    live = await app.ask(ask(session_id=session), usual="queue")
    waits = await app.ask(ask(session_id=session), usual="queue")
    assert isinstance(live, LiveTurn) and isinstance(waits, Waits)
    assert waits.standing and waits.standing.requests and waits.standing.requests.left == 8
    second = await app.answer_to("ann", waits.message, patience=10)
    await read(second.feed)
    await asyncio.sleep(1)
    assert here.limits.accounts["ann"].left == pytest.approx(8, abs=1e-3)
    used = [_tokens(await here.store.load_turn(each.turn.id)) for each in (live, second)]
    assert here.spent() == Spent(sum(used), 0)
    await here.close()


@virtual
async def test_the_same_request_again_costs_nothing() -> None:
    here = Instances(ANSWER, LIMIT_REQUESTS=NEVER, BUDGET_TOKENS_PER_USER="50000")
    session = "0" * 25 + "A"
    await here.store.create_session("ann", SessionDraft(session))
    for _ in range(3):
        live = await here.first.app.ask(ask(session_id=session, nonce="key"), usual="reject")
        assert isinstance(live, LiveTurn) and live.standing and live.standing.requests
        await read(live.feed)
    await asyncio.sleep(1)
    assert here.limits.accounts["ann"].left == pytest.approx(9, abs=1e-3)
    assert here.spent() == Spent(50, 0) and here.asked == 1
    await here.close()


@virtual
async def test_a_request_that_comes_to_nothing_holds_nothing() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="50000")
    with pytest.raises(ChatError):
        await here.first.app.ask(ask(session_id="0" * 25 + "B"), usual="reject")
    await asyncio.sleep(1)
    assert here.spent() == Spent(0, 0)
    await here.close()


@virtual
async def test_a_caller_who_leaves_has_their_turn_counted_all_the_same() -> None:
    here = Instances(ANSWER, BUDGET_TOKENS_PER_USER="50000")
    asking = asyncio.create_task(here.first.app.ask(ask(), usual="reject"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.sleep(2)
    assert here.asked == 1 and here.spent() == Spent(50, 0)
    await here.close()


@virtual
async def test_what_an_admin_sets_counts_on_every_instance_at_once() -> None:
    here = Instances(ANSWER, count=2, LIMIT_REQUESTS="100/60")
    await here.all_ask(4)
    tally = await here.first.app.limiter.override("ann", Override(requests=1, per_seconds=1000))
    assert tally.terms.rate == Rate(1, 1000)
    outcomes = await here.all_ask(10)
    assert len(let_in(outcomes)) == 1
    await here.first.app.limiter.override("ann", Override())
    await asyncio.sleep(60)
    assert len(let_in(await here.all_ask(20))) == 20
    await here.close()


BEFORE_MIDNIGHT = 15 * 3600 + 44 * 60 - 1000.0  # seconds from the virtual clock's beginning to 23:59


@virtual
async def test_at_midnight_there_is_a_new_budget_and_what_runs_counts_for_the_old_day() -> None:
    settings = {"BUDGET_TOKENS_PER_USER": "1200", "BUDGET_TOKENS": "1200"}
    here = Instances(lines(100, 1.0), skew=BEFORE_MIDNIGHT, **settings)
    [live] = let_in(await here.all_ask(1))
    await asyncio.sleep(50)
    both = [*await here.all_ask(1, "bob"), *await here.all_ask(1, "eva")]
    assert len(let_in(both)) == 2  # and so all three slices are held
    assert len(refused(await here.all_ask(1, "cid"))) == 1
    await asyncio.sleep(20)
    assert len(let_in(await here.all_ask(1, "cid"))) == 1
    await read(live.feed)
    await here.close()
    accounts = here.limits.accounts
    assert accounts["ann"].spent.keys() == {TODAY} and accounts["cid"].spent.keys() == {"20261121"}
    assert accounts[EVERYBODY].spent.keys() == {"20261121"}
    assert accounts["ann"].spent[TODAY].held == 0 < accounts["ann"].spent[TODAY].used


@virtual
async def test_many_instances_that_one_user_asks_at_once_all_get_their_word_in() -> None:
    here = Instances(ANSWER, count=12, LIMIT_REQUESTS=f"100/{10**9}", BUDGET_TOKENS_PER_USER="10000000")
    outcomes = await here.all_ask(120)
    assert (len(let_in(outcomes)), len(refused(outcomes))) == (100, 20)
    await here.close()


@virtual
async def test_what_waits_while_the_budget_is_spent_is_answered_when_there_is_one_again() -> None:
    here = Instances(lines(20, 0.1), BUDGET_TOKENS_PER_USER="1500")
    app, session = here.first.app, "0" * 25 + "A"
    await here.store.create_session("ann", SessionDraft(session))
    live = await app.ask(ask(session_id=session), usual="queue")
    waits = await app.ask(ask(session_id=session), usual="queue")
    assert isinstance(live, LiveTurn) and isinstance(waits, Waits)
    await app.limiter.override("ann", Override(tokens_per_day=1))
    await read(live.feed)
    await asyncio.sleep(10)
    assert (await here.store.load_session(session)).waiting
    await app.limiter.override("ann", Override())
    await app.waiting.work_off()
    assert isinstance(await app.answer_to("ann", waits.message, patience=5), LiveTurn)
    await here.close()


TRIP = 0.01  # seconds of a round trip to the store


class FarLimits(MemoryLimits):
    async def load_account(self, user_id: str) -> Account:
        await asyncio.sleep(TRIP)
        return await super().load_account(user_id)

    async def save_account(self, before: Account, after: Account, nonce: str) -> Account:
        await asyncio.sleep(TRIP)
        return await super().save_account(before, after, nonce)


class FarStore(MemoryStore):
    async def get_session(self, user_id: str, session_id: str) -> Session:
        await asyncio.sleep(TRIP)
        return await super().get_session(user_id, session_id)

    async def load_messages(self, session: Session, *, limit: int, before: int) -> list[Message]:
        await asyncio.sleep(TRIP)
        return await super().load_messages(session, limit=limit, before=before)


@pytest.mark.parametrize(
    ("known", "in_session", "trips"),
    [(True, True, 0), (False, True, 0), (True, False, 1), (False, False, 2)],
)
@virtual
async def test_the_model_is_asked_so_many_round_trips_later_than_without_limits(
    known: bool, in_session: bool, trips: int
) -> None:
    took: dict[str, float] = {}
    for limit in ("0", "100/60"):
        clock, asked = VirtualClock(), list[float]()
        store, limits = FarStore(clock), FarLimits(clock)

        def script(_: object, asked: list[float] = asked) -> Sequence[Any]:
            asked.append(asyncio.get_running_loop().time())
            return ANSWER

        tokens = "0" if limit == "0" else "100000"
        settings = {"CHAT_LIMIT_REQUESTS": limit, "CHAT_BUDGET_TOKENS_PER_USER": tokens}
        here = make_app(script, settings=settings, store=store, clock=clock, limits=limits)
        session = "0" * 25 + "A"
        await store.create_session("ann", SessionDraft(session))
        if known:
            live = await here.app.ask(ask(), usual="reject")
            assert isinstance(live, LiveTurn)
            await read(live.feed)
            await asyncio.sleep(1)
        began = asyncio.get_running_loop().time()
        await here.app.ask(ask(session_id=session if in_session else ""), usual="reject")
        await here.wait_for_turns()
        took[limit] = asked[-1] - began
        await here.app.close()
    assert took["100/60"] - took["0"] == pytest.approx(trips * TRIP, abs=1e-6)
