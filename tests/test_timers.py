"""What the timer does in one round."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from chat import timers
from chat.app import ChatApp
from chat.clock import SystemClock
from chat.errors import PushError, StoreUnavailable
from chat.push.base import EVERYBODY
from chat.store.presence_store import Ticket
from chat.store.request_store import KeyedRequest
from tests.support.apps import TestApp, make_app
from tests.support.fake_push import FakePush


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> TestApp:
    made = make_app(push=FakePush())

    async def current_app() -> ChatApp:
        return made.app

    monkeypatch.setattr("chat.timers.current_app", current_app)
    monkeypatch.setattr("chat.turns.sweep.BEAT", 0.0)
    return made


async def test_a_round_removes_what_came_to_nothing(made: TestApp) -> None:
    store, now = made.store, made.app.clock.now()
    tickets = [
        Ticket(name, "s", "ann", "chat", now + timedelta(minutes=at)) for name, at in (("a", -1), ("b", 1))
    ]
    for ticket in tickets:
        await store.issue(ticket)
    await timers.sweep()
    assert [await store.take("s", ticket.id) for ticket in tickets] == [None, tickets[1]]
    for call in ("purge_events", "tidy", "forget_strays"):
        assert store.calls[call] == 1
    assert store.calls["list_errands"] == 4  # of each kind


@pytest.mark.parametrize(("hours", "known"), [("1", False), ("200", True)])
async def test_a_round_forgets_keys_a_day_after_the_events_that_they_lead_to(
    monkeypatch: pytest.MonkeyPatch, hours: str, known: bool
) -> None:
    later = make_app(settings={"CHAT_EVENTS_TTL_HOURS": hours}, clock=LaterClock())

    async def current_app() -> ChatApp:
        return later.app

    monkeypatch.setattr("chat.timers.current_app", current_app)
    monkeypatch.setattr("chat.turns.sweep.BEAT", 0.0)
    first, second = (KeyedRequest("ann", "key", "d", name) for name in "ab")
    await later.store.claim_request(first)
    await timers.sweep()
    assert (await later.store.claim_request(second)).promised == ("a" if known else "b")


class LaterClock(SystemClock):
    """A clock of an app that runs two days after its store."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=2)


@pytest.mark.parametrize("error", [PushError(), ValueError("what is that?")])
async def test_a_round_counts_the_sockets_and_goes_on_where_it_cannot(
    made: TestApp, error: Exception
) -> None:
    push: Any = made.app.sockets.require().push
    push.groups[EVERYBODY] = ["c1", "c2"]
    await timers.sweep()
    counted = await made.store.counted()
    assert counted is not None and counted.sockets == 2
    push.fail_next("count", error)
    await timers.sweep()
    assert made.store.calls["purge_events"] == 2


@pytest.mark.parametrize(
    "call", ["note_count", "list_leases", "list_errands", "purge_events", "purge_tickets", "forget_requests"]
)
async def test_a_store_that_is_away_is_asked_again_with_the_next_round(made: TestApp, call: str) -> None:
    made.store.fail_next(call, StoreUnavailable())
    await timers.sweep()
    await timers.sweep()
    assert made.store.calls[call] >= 2


async def test_what_fails_holds_up_nothing_else(made: TestApp) -> None:
    for call in ("list_errands", "list_leases"):
        made.store.fail_next(call, StoreUnavailable(), times=9)
    await timers.sweep()
    assert made.store.calls["forget_requests"] == made.store.calls["forget_audit"] == 1
